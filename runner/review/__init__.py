"""What was found, to be looked at by somebody who was not there: figures, the report page, exports."""
