"""What the console's forms share: the classes of their widgets, and errors that assistive technology finds."""

from __future__ import annotations

from django import forms


class DressedForm(forms.Form):
    """A form for `components/field.html`. Call `dress` once its fields are there."""

    def dress(self) -> None:
        """Give each widget its class, and tie the errors of a bound form to their fields."""
        for field in self.fields.values():
            _dress(field)
        if self.is_bound:
            self._mark_errors()

    def _mark_errors(self) -> None:
        """Django ties help texts to their fields only."""
        for name in self.errors:
            self.mark(name)

    def mark(self, name: str) -> None:
        """Tie one field's errors to it."""
        if name in self.fields:
            self.fields[name].widget.attrs["aria-invalid"] = "true"
            self.fields[name].widget.attrs["aria-describedby"] = self._described_by(name)

    def _described_by(self, name: str) -> str:
        base = self[name].auto_id
        return f"{base}_helptext {base}_error" if self.fields[name].help_text else f"{base}_error"


def _dress(field: forms.Field) -> None:
    """The classes of the console's form components."""
    widget = field.widget
    if isinstance(widget, forms.CheckboxInput):
        widget.attrs["class"] = "checkbox"
    elif isinstance(widget, forms.Select):
        widget.attrs["class"] = "select"
    elif isinstance(widget, forms.Textarea):
        widget.attrs["class"] = "textarea"
    elif not isinstance(widget, forms.HiddenInput):
        short = isinstance(field, forms.IntegerField | forms.DecimalField)  # a FloatField is an IntegerField
        widget.attrs["class"] = "input input--short" if short else "input"
        widget.attrs["autocomplete"] = "off"
