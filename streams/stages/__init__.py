"""Pure steps: state, a batch and the time in; outputs out. No IO, no clock."""
