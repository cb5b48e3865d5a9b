"""What an agency prints of itself on every notice, checked when it is entered."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from notifier.core.contacts import phone
from notifier.core.errors import Finding, Invalid
from notifier.render.content import PhoneHours, parse_hours

Line = Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f]+$")]
PlaceCode = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$")]


class AgencyProfile(BaseModel):
    """An agency's telephone numbers, hours and address, as they are printed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    help_phone: Line = Field(description="A staffed number that people can call; printed as written.")
    phone_hours: Line = Field(description='When it is answered, like "mon-fri 08:00-17:00".')
    main_phone: Line = Field(description="The number on the agency's own website, to check that a letter is real.")
    return_address: tuple[Line, ...] = Field(min_length=2, max_length=4)
    interpreter_on_file: bool = Field(description='Only with an interpreter contract is "any language" printed.')
    other_formats_on_file: bool = Field(
        default=False, description="Only where somebody makes them are large print, Braille and signing offered."
    )
    keep_hours_in_test: bool = Field(
        default=False, description="Whether test matters keep quiet hours and household gaps as live ones do."
    )
    legal_help: tuple[Annotated[str, StringConstraints(min_length=1, max_length=200)], ...] = ()
    mailing_places: tuple[PlaceCode, ...] = Field(
        default=(), max_length=20, description="Where its mail is handed over: `denver-main-post-office`. Not printed."
    )

    @field_validator("help_phone", "main_phone")
    @classmethod
    def _is_a_number(cls, value: str) -> str:
        if not phone(value).usable:
            raise ValueError("not a telephone number")
        return value

    @field_validator("phone_hours")
    @classmethod
    def _are_hours(cls, value: str) -> str:
        parse_hours(value)
        return value

    @classmethod
    def read(cls, given: Mapping[str, object]) -> Self:
        """Check what was entered.

        Raises:
            Invalid: `invalid-agency-profile`, with a finding for each field.
        """
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            findings = [
                Finding("/" + "/".join(map(str, fault["loc"])), fault["type"], fault["msg"])
                for fault in error.errors(include_input=False, include_url=False, include_context=False)
            ]
            code, detail = "invalid-agency-profile", "What the agency prints of itself is incomplete."
            raise Invalid(code, detail, findings) from None

    @classmethod
    def stored(cls, kept: Mapping[str, object]) -> Self:
        """What was checked when it was entered, as the database gives it back: it is not checked again."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in kept.items()
        }
        return cls.model_construct(**fields)

    @property
    def hours(self) -> PhoneHours:
        """The hours, parsed."""
        return parse_hours(self.phone_hours)
