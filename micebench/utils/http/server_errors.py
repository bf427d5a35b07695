"""Errors that servers, and gateways before them, report inside an HTTP success."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from micebench.utils.finish_reasons import ending

PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
"""HTTP statuses of trouble that may pass by itself."""

_ANSWERS = ("choices", "data", "candidates", "images", "image", "output", "predictions", "result", "promptFeedback")
_TEXTS = ("message", "msg", "detail", "error_message", "error_msg", "errorMessage", "error_description", "title")
_CODES = ("code", "type", "status", "status_code", "statusCode", "error_code", "errorCode", "reason", "name")
_INNER = ("error", "innererror", "inner_error", "details", "errors", "metadata")
_FINE = ("", "0", "200", "ok", "success", "none", "null", "false")
_DEPTH = 4

# Codes without their punctuation, in lower case, after the HTTP status that fits. The first that is found counts.
_PERMANENT = """
402 insufficientquota insufficientbalance insufficientcredits insufficientfunds billinghardlimitreached
    billingnotactive paymentrequired quotaexhausted arrearage
401 invalidapikey incorrectapikey apikeyinvalid apikeyexpired missingapikey noapikey invalidkey invalidauthkey
    authenticationerror authenticationfailed invalidauthentication autherror unauthenticated unauthorized
    invalidtoken tokenexpired
404 modelnotfound modelnotexist modelnotexists modeldoesnotexist nosuchmodel unknownmodel invalidmodel
    modelnotavailable modelnotsupported unsupportedmodel deploymentnotfound notfound notfounderror
403 permissiondenied permissionerror forbidden accessdenied nopermission
400 invalidrequest invalidrequesterror invalidargument badrequest badrequesterror invalidparameter
    unsupportedparameter unsupportedvalue missingparameter missingrequiredparameter invalidvalue invalidtype
    validationerror contextlengthexceeded stringabovemaxlength invalidimage invalidimageformat
    unprocessableentity unprocessableentityerror failedprecondition outofrange
"""
_NAMES = {int(block[:3]): frozenset(block[3:].split()) for block in re.split(r"\n(?=\d)", _PERMANENT.strip())}
_MAY_PASS = re.compile("ratelimit|toomanyrequests|overload|timeout|unavailable|servererror|internalerror|^internal$")


@dataclass(frozen=True, slots=True)
class ServerError:
    """An error object in a server's answer.

    Attributes:
        status: the HTTP status that fits its code; None: the code says nothing, as of trouble that may pass.
        object: code, type and message, as the server gave them.
    """

    status: int | None
    object: dict[str, Any]

    @property
    def permanent(self) -> bool:
        """Asking again would not help."""
        return self.status is not None and self.status not in PASSING

    @property
    def words(self) -> str:
        """The server's own words."""
        for name in _TEXTS:
            if isinstance(text := self.object.get(name), str) and text.strip():
                return text
        return json.dumps(self.object, ensure_ascii=False)


def error_in(value: Any) -> ServerError | None:
    """The error that a JSON answer reports, of the whole or of one choice; None: it reports none."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    found = _found(value) if isinstance(value, dict) else None
    if found is None:
        return None
    fields: dict[str, Any] = found if isinstance(found, dict) else {"message": str(found)}
    return ServerError(_status(fields), fields)


def _found(value: dict[str, Any]) -> Any:
    """The error object, or text; None: there is none."""
    error = value.get("error")
    if error is True or (isinstance(error, (int, float)) and error):
        return {name: item for name, item in value.items() if name not in _ANSWERS}
    if _is_error(error):
        return error[0] if isinstance(error, list) else error
    if "error" in (value.get("object"), value.get("type")):
        return value
    if any(value.get(name) for name in _ANSWERS):
        return next(_in_items(value), None)
    if isinstance(errors := value.get("errors"), list) and errors:
        return errors[0]
    return value if any(isinstance(text := value.get(name), str) and text for name in _TEXTS) else None


def _in_items(value: dict[str, Any]) -> Iterator[Any]:
    for name in ("choices", "data", "candidates", "images"):
        items = value.get(name)
        for item in items if isinstance(items, list) else []:
            if isinstance(item, dict):
                inner = item.get("message")
                for error in (item.get("error"), inner.get("error") if isinstance(inner, dict) else None):
                    if _is_error(error):
                        yield error


def _is_error(error: Any) -> bool:
    """Whether the field says that something went wrong; many servers send an empty one with every answer."""
    if isinstance(error, dict):
        return any(str(item).lower() not in _FINE for item in error.values() if item)
    return bool(error) and str(error).lower() not in _FINE


def _status(fields: dict[str, Any]) -> int | None:
    codes = list(_codes(fields, _DEPTH))
    if not codes and isinstance(text := fields.get("message"), str) and " " not in text.strip():
        codes = [text]  # {"error": "invalid_api_key"}
    names = dict.fromkeys(map(_plain, codes))
    if any(ending(code) == "refused" for code in codes):
        return 400
    if names.keys() & _NAMES[402]:
        return 402
    numbers = [number for name in names if (number := _as_status(name)) is not None]
    passing = [number for number in numbers if number in PASSING]
    if passing or any(_MAY_PASS.search(name) for name in names):
        return passing[0] if passing else None
    if numbers:
        return numbers[0]
    return next((status for status, known in _NAMES.items() if names.keys() & known), None)


def _codes(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, list) and depth:
        for item in value[:8]:
            yield from _codes(item, depth - 1)
    if isinstance(value, dict):
        for name in _CODES:
            code = value.get(name)
            if isinstance(code, (str, int)) and not isinstance(code, bool):
                yield str(code)[:80]
        for name in _INNER if depth else ():
            yield from _codes(value.get(name), depth - 1)


def _as_status(code: str) -> int | None:
    """429 of "429", and of "42901": some servers append digits of their own."""
    digits = re.fullmatch(r"([45]\d\d)(\d\d)?", code, re.ASCII)
    return int(digits[1]) if digits else None


def _plain(code: str) -> str:
    return "".join(letter for letter in code.casefold() if letter.isalnum())
