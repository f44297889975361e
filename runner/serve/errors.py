"""What is wrong with a request, in the service's own shape."""

from __future__ import annotations

import uuid
from typing import Any

MORE_INFO = "https://cloud.ibm.com/apidocs/quantum-computing#error-handling"
VALIDATION_CODE = 1208


class ApiError(Exception):
    """What is wrong with a request, as the client is told it."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: int = VALIDATION_CODE,
        solution: str = "Correct the request.",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {
            "errors": [{"code": code, "message": message, "solution": solution, "more_info": MORE_INFO}],
            "trace": str(uuid.uuid4()),
        }
