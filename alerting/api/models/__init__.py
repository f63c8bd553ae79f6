"""The shape of every JSON answer, for the OpenAPI description.

No answer is validated against these while the service runs, so that a mistake in a description
never keeps an answer back. The tests validate every answer they get.
"""
