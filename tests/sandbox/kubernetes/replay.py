"""Replays the recorded requests against a server and compares its answers with the recorded ones.

Times, uids, versions, generated names and addresses are left out of the comparison, for they differ from run to run.
"""

from __future__ import annotations

import gzip
import http.client
import json
import re
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Object = dict[str, Any]

RECORDED = Path(__file__).with_name("recorded.json.gz")
UNTIL_SECONDS = 0.3  # what a controller of the recorded server did meanwhile, nobody does here
_VOLATILE = {
    *("uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "time", "etag", "continue", "clusterIP"),
    *("clusterIPs", "nodePort", "healthCheckNodePort", "hash", "token", "serverAddress", "lastTransitionTime"),
    *("lastTimestamp", "expirationTimestamp", "retryAfterSeconds", "generateName"),
}
_TEXT = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<time>"),
    (r"(resourceVersion\W+|Version in record \()\d+", r"\1<n>"),
    (r"gen-[a-z0-9]{5}\b", "gen-<5>"),
    (r"hash=[0-9A-F]+", "hash=<h>"),
    (r"\b\d+ \(\d+\)|current: \d+|(?<=resource version: )\d+|(?<=: )\d{4,}\b", "<n>"),
)
_AGE = r"^\d+(m\d*)?s?$|^<unknown>$|^\d+[smhd](\d+[smh])?( ago)?$|^\(\d+[smhd] ago\)$"


@dataclass(frozen=True)
class Answer:
    """What a server answered, as far as it is compared."""

    status: int
    body: Any
    warnings: list[str] | None


class Caller:
    """Sends steps to a server as the recorded ones were sent."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc
        self._context = ssl.create_default_context()
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE

    def send(self, step: Object) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPSConnection(self._address, timeout=30, context=self._context)
        headers = dict(step.get("headers") or {})
        if step.get("user"):
            headers.setdefault("Authorization", f"Bearer {step['user']}-token")
        headers.setdefault("Accept", "application/json")
        body = step.get("body")
        data = None if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
        if data is not None:
            headers.setdefault("Content-Type", "application/json")
        try:
            connection.request(step["method"], step["path"], data, headers)
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
            content_type = response.getheader("content-type") or ""
            parsed = _parsed(text, content_type, step["path"], response.status)
            return Answer(response.status, parsed, response.headers.get_all("warning"))
        finally:
            connection.close()


def _parsed(text: str, content_type: str, path: str, status: int) -> Any:
    if "json" not in content_type and "watch=" not in path and text[:1] != "{":
        return text
    try:
        if "watch=" in path and status == 200:
            return [json.loads(line) for line in text.split("\n") if line.strip()]
        return json.loads(text)
    except ValueError:
        return text


def load_cases() -> list[Object]:
    """Every recorded case."""
    cases: list[Object] = json.loads(gzip.decompress(RECORDED.read_bytes()))
    return cases


def differences(caller: Caller, case: Object) -> list[str]:
    """Do a case again; returns in what the answer differs from the recorded one."""
    variables: dict[str, Any] = {}
    for step in case["setup"]:
        if step["method"] not in ("WAIT", "COMPACT") and not step.get("undo"):
            _do(caller, step, variables)
    answer = _do(caller, case["request"], variables)
    for step in case["setup"]:
        if step.get("undo"):
            _do(caller, step, variables)
    recorded = case["response"]
    found = _differ(_normal(recorded["status"]), _normal(answer.status), ".status")
    found += _differ(_normal(recorded["body"]), _normal(answer.body), "")
    return found + _differ(_normal(recorded["headers"].get("warning")), _normal(answer.warnings), "warning")


def _do(caller: Caller, step: Object, variables: dict[str, Any]) -> Answer:
    filled = {**step, **{key: _filled(step.get(key), variables) for key in ("path", "headers", "body")}}
    end = time.monotonic() + UNTIL_SECONDS
    while True:
        answer = caller.send(filled)
        if "until" not in step or time.monotonic() > end:
            break
        value = _at(answer.body, step["until"])
        if value is not None and step.get("is", value) == value:
            break
        time.sleep(0.05)
    for name, path in (step.get("capture") or {}).items():
        variables[name] = _at(answer.body, path)
    return answer


def _filled(value: Any, variables: dict[str, Any]) -> Any:
    if isinstance(value, str):
        return re.sub(r"\{\{(\w+)\}\}", lambda found: str(variables.get(found[1], found[0])), value)
    if isinstance(value, dict):
        return {_filled(key, variables): _filled(one, variables) for key, one in value.items()}
    return [_filled(one, variables) for one in value] if isinstance(value, list) else value


def _at(value: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(value, list):
            value = value[int(part)] if part.isdigit() and int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            return None
    return value


def _normal(value: Any, *, keyed: bool = False) -> Any:
    if isinstance(value, dict):
        value = _unordered(value)
        return {key: "*" if key in _VOLATILE else _normal(one, keyed=True) for key, one in value.items()}
    if isinstance(value, list):
        return [_normal(one) for one in value]
    if isinstance(value, str):
        for pattern, shown in _TEXT:
            value = re.sub(pattern, shown, value)
        return value if keyed else re.sub(_AGE, "<age>", value)
    return value


def _unordered(value: Object) -> Object:
    """Several causes of one refusal, and the rules of a review, come in any order."""
    causes = _at(value, "details.causes") or []
    if value.get("kind") == "Status" and len(causes) > 1:
        value = {**value, "message": "*", "details": {**value["details"], "causes": sorted(causes, key=json.dumps)}}
    for name in ("nonResourceRules", "resourceRules"):
        if "nonResourceRules" in value:
            value = {**value, name: sorted(value[name] or [], key=json.dumps)}
    return value


def _differ(first: Any, second: Any, at: str) -> list[str]:
    if type(first) is not type(second):
        return [f"{at}: {json.dumps(first)[:160]} | {json.dumps(second)[:160]}"]
    if isinstance(first, dict):
        found = []
        for key in sorted(set(first) | set(second)):
            if key in first and key in second:
                found += _differ(first[key], second[key], f"{at}.{key}")
            else:
                found.append(f"{at}.{key}: only in the {'record' if key in first else 'answer'}")
        return found
    if isinstance(first, list):
        found = [] if len(first) == len(second) else [f"{at}: {len(first)} | {len(second)} entries"]
        for index, (one, other) in enumerate(zip(first, second, strict=False)):
            found += _differ(one, other, f"{at}[{index}]")
        return found
    return [] if first == second else [f"{at}: {json.dumps(first)[:160]} | {json.dumps(second)[:160]}"]
