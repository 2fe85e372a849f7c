"""Reading, defaulting and validating objects, judged by the words of a real server."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlp_helpers.sandbox.kubernetes import names, quantity, rules, schema, structural
from mlp_helpers.sandbox.kubernetes.errors import ApiError
from mlp_helpers.sandbox.kubernetes.kinds import Kind, Registry

Object = dict[str, Any]
REGISTRY = Registry()


def kind(resource: str) -> Kind:
    found = REGISTRY.by_resource(resource)
    assert found
    return found


def read(resource: str, obj: Object, field_validation: str = "") -> schema.Prepared:
    given = {"metadata": {"name": "x"}, **copy.deepcopy(obj)}
    return schema.prepare(kind(resource), given, field_validation=field_validation)


def refusal(resource: str, obj: Object, field_validation: str = "") -> ApiError:
    with pytest.raises(ApiError) as refused:
        read(resource, obj, field_validation)
    return refused.value


def causes(error: ApiError) -> list[tuple[str, str]]:
    return [(one["field"], one["message"]) for one in error.status["details"]["causes"]]


def pod_spec(**more: Any) -> Object:
    return {"containers": [{"name": "c", "image": "busybox", **more}]}


def deployment(**more: Any) -> Object:
    template = {"metadata": {"labels": {"app": "x"}}, "spec": pod_spec()}
    return {"spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template, **more}}


# Reading.


def test_unknown_fields_are_refused_warned_of_or_dropped() -> None:
    obj = deployment(nope=1, replicaz=2)
    assert refusal("deployments.apps", obj, "Strict").message == (
        'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error:'
        ' unknown field "spec.nope", unknown field "spec.replicaz"'
    )
    made = read("deployments.apps", obj)
    assert made.warnings == ['unknown field "spec.nope"', 'unknown field "spec.replicaz"']
    assert "nope" not in made.obj["spec"]
    assert read("deployments.apps", obj, "Ignore").warnings == []


def test_unknown_fields_in_lists_are_named_by_index() -> None:
    assert read("pods", {"spec": pod_spec(imagez=1)}).warnings == ['unknown field "spec.containers[0].imagez"']


@pytest.mark.parametrize(
    ("resource", "obj", "why"),
    [
        (
            "configmaps",
            {"data": {"a": 1}},
            "cannot unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        (
            "deployments.apps",
            deployment(replicas="two"),
            "cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "pods",
            {"spec": {"containers": {}}},
            "cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (
            "pods",
            {"spec": pod_spec(resources={"limits": {"cpu": "abc"}})},
            "quantities must match the regular expression",
        ),
        ("secrets", {"data": {"a": "***"}}, "illegal base64 data at input byte 0"),
    ],
)
def test_wrong_types_are_bad_requests(resource: str, obj: Object, why: str) -> None:
    error = refusal(resource, obj)
    assert error.code == 400
    assert why in error.message


# Defaults.


def test_pods_are_completed() -> None:
    spec = read("pods", {"spec": pod_spec(ports=[{"containerPort": 80}], resources={"limits": {"cpu": "1"}})}).obj[
        "spec"
    ]
    assert spec["restartPolicy"] == "Always"
    assert spec["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert spec["containers"][0]["resources"]["requests"] == {"cpu": "1"}
    assert spec["enableServiceLinks"] is True


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("busybox", "Always"),
        ("busybox:latest", "Always"),
        ("busybox:1", "IfNotPresent"),
        ("host:5000/a", "Always"),
        ("host:5000/a@sha256:0", "IfNotPresent"),
    ],
)
def test_the_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    spec = read("pods", {"spec": pod_spec(image=image)}).obj["spec"]
    assert spec["containers"][0]["imagePullPolicy"] == policy


def test_deployments_are_completed() -> None:
    spec = read("deployments.apps", deployment()).obj["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": "25%", "maxSurge": "25%"}
    assert "enableServiceLinks" not in spec["template"]["spec"]


@pytest.mark.parametrize("resource", ["pods", "deployments.apps", "services", "jobs.batch", "namespaces"])
def test_defaults_are_stable(resource: str) -> None:
    template = {"metadata": {"labels": {"app": "x"}}, "spec": {**pod_spec(), "restartPolicy": "Never"}}
    bodies: dict[str, Object] = {
        "pods": {"spec": pod_spec()},
        "deployments.apps": deployment(),
        "services": {"spec": {"ports": [{"port": 80}], "type": "LoadBalancer"}},
        "jobs.batch": {"spec": {"template": template}},
        "namespaces": {},
    }
    once = read(resource, bodies[resource]).obj
    again = copy.deepcopy(once)
    schema.default(kind(resource), again)
    assert again == once


def test_text_in_secrets_is_encoded() -> None:
    made = read("secrets", {"stringData": {"a": "b"}}).obj
    assert made["data"] == {"a": "Yg=="}
    assert made["type"] == "Opaque"


def test_limits_complete_each_other() -> None:
    item = read("limitranges", {"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}}]}}).obj["spec"][
        "limits"
    ][0]
    assert item["default"] == item["defaultRequest"] == {"cpu": "2"}


# Validation.


def test_every_problem_of_a_pod_is_told_at_once() -> None:
    container = {
        "name": "C_",
        "imagePullPolicy": "X",
        "ports": [{"containerPort": 70000}],
        "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}},
        "volumeMounts": [{"name": "v", "mountPath": "/x"}],
    }
    found = dict(causes(refusal("pods", {"spec": {"restartPolicy": "Sometimes", "containers": [container]}})))
    assert found["spec.containers[0].image"] == "Required value"
    assert (
        found["spec.containers[0].ports[0].containerPort"]
        == "Invalid value: 70000: must be between 1 and 65535, inclusive"
    )
    assert found["spec.containers[0].volumeMounts[0].name"] == 'Not found: "v"'
    limited = 'Invalid value: "2": must be less than or equal to cpu limit of 1'
    assert found["spec.containers[0].resources.requests"] == limited
    assert found["spec.restartPolicy"] == (
        'Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"'
    )
    assert len(found) == 7


@pytest.mark.parametrize(
    ("resource", "obj", "field", "message"),
    [
        ("pods", {"spec": {"containers": []}}, "spec.containers", "Required value"),
        (
            "deployments.apps",
            deployment(selector={"matchLabels": {"app": "y"}}),
            "spec.template.metadata.labels",
            'Invalid value: {"app":"x"}: `selector` does not match template `labels`',
        ),
        (
            "deployments.apps",
            deployment(replicas=-1),
            "spec.replicas",
            "Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            "jobs.batch",
            {"spec": {"template": {"spec": pod_spec()}}},
            "spec.template.spec.restartPolicy",
            'Required value: valid values: "OnFailure", "Never"',
        ),
        ("services", {"spec": {"ports": [{"port": 80}, {"port": 81}]}}, "spec.ports[0].name", "Required value"),
        (
            "roles.rbac.authorization.k8s.io",
            {"rules": [{"verbs": []}]},
            "rules[0].verbs",
            "Required value: verbs must contain at least one value",
        ),
        (
            "resourcequotas",
            {"spec": {"hard": {"pods": "-1"}}},
            "spec.hard[pods]",
            'Invalid value: "-1": must be greater than or equal to 0',
        ),
        (
            "deployments.apps",
            deployment(strategy={"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}),
            "spec.strategy.rollingUpdate",
            "Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ),
        (
            "networkpolicies.networking.k8s.io",
            {"spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0"}}]}]}},
            "spec.ingress[0].from[0].ipBlock.cidr",
            'Invalid value: "10.0.0.0": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
        ),
        (
            "networkpolicies.networking.k8s.io",
            {"spec": {"podSelector": {}, "egress": [{"to": [{}]}]}},
            "spec.egress[0].to[0]",
            "Required value: must specify a peer",
        ),
        (
            "priorityclasses.scheduling.k8s.io",
            {"metadata": {"name": "system-mine"}, "value": 1},
            "metadata.name",
            "Forbidden: priority class names with 'system-' prefix are reserved for system use only",
        ),
        (
            "horizontalpodautoscalers.autoscaling",
            {"spec": {"minReplicas": 3, "maxReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "d"}}},
            "spec.maxReplicas",
            "Invalid value: 2: must be greater than or equal to `minReplicas`",
        ),
        (
            "namespaces",
            {"metadata": {"name": "a.b"}},
            "metadata.name",
            'Invalid value: "a.b": must not contain dots',
        ),
        (
            "configmaps",
            {"metadata": {"name": "a", "finalizers": ["nope"]}},
            "metadata.finalizers[0]",
            'Invalid value: "nope": name is neither a standard finalizer name nor is it fully qualified',
        ),
        (
            "configmaps",
            {"metadata": {"name": "a", "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p"}]}},
            "metadata.ownerReferences.uid",
            'Invalid value: "": must not be empty',
        ),
        ("configmaps", {"metadata": {}}, "metadata.name", "Required value: name or generateName is required"),
        (
            "secrets",
            {"type": "kubernetes.io/dockerconfigjson"},
            "data[.dockerconfigjson]",
            "Required value",
        ),
    ],
)
def test_what_is_invalid_is_named(resource: str, obj: Object, field: str, message: str) -> None:
    error = refusal(resource, obj)
    assert error.code == 422
    assert (field, message) in causes(error)


def updated(resource: str, old: Object, new: Object) -> ApiError:
    before, after = (read(resource, obj).obj for obj in (old, new))
    with pytest.raises(ApiError) as refused:
        schema.validate_update(kind(resource), before, after)
    return refused.value


@pytest.mark.parametrize(
    ("resource", "old", "new", "field", "message"),
    [
        (
            "configmaps",
            {"data": {"k": "1"}, "immutable": True},
            {"data": {"k": "2"}, "immutable": True},
            "data",
            "Forbidden: field is immutable when `immutable` is set",
        ),
        ("secrets", {}, {"type": "x/y"}, "type", 'Invalid value: "x/y": field is immutable'),
        (
            "rolebindings.rbac.authorization.k8s.io",
            {"roleRef": {"kind": "ClusterRole", "name": "view"}},
            {"roleRef": {"kind": "ClusterRole", "name": "edit"}},
            "roleRef",
            'Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"ClusterRole","Name":"edit"}: cannot'
            " change roleRef",
        ),
    ],
)
def test_what_is_fixed_may_not_change(resource: str, old: Object, new: Object, field: str, message: str) -> None:
    assert causes(updated(resource, old, new)) == [(field, message)]


def test_only_a_pods_image_may_change() -> None:
    with pytest.raises(ApiError, match="pod updates may not change fields other than"):
        schema.validate_update(
            kind("pods"), read("pods", {"spec": pod_spec()}).obj, read("pods", {"spec": pod_spec(command=["x"])}).obj
        )
    before, after = (read("pods", {"spec": pod_spec(image=image)}).obj for image in ("a:1", "a:2"))
    schema.validate_update(kind("pods"), before, after)


# Custom resources.

WIDGET: Object = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "x-kubernetes-validations": [
                {"rule": "!has(self.min) || self.min <= self.size", "message": "min must not exceed size"},
                {
                    "rule": "self.size <= 1000",
                    "messageExpression": "'size is ' + string(self.size)",
                    "fieldPath": ".size",
                    "reason": "FieldValueForbidden",
                },
            ],
            "properties": {
                "size": {"type": "integer", "minimum": 1},
                "min": {"type": "integer"},
                "color": {"type": "string", "enum": ["red", "green"], "default": "red"},
                "code": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
                "fixed": {
                    "type": "string",
                    "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "fixed is immutable"}],
                },
                "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "q": {"x-kubernetes-int-or-string": True},
                "when": {"type": "string", "format": "date-time"},
                "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                "ports": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
                },
            },
        }
    },
}
CUSTOM = Kind("x.io", "v1", "Widget", "widgets", "widget", True, schema=WIDGET, built_in=False)


def widget(**spec: Any) -> Object:
    return {"apiVersion": "x.io/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 3, **spec}}


def widget_causes(**spec: Any) -> list[tuple[str, str]]:
    with pytest.raises(ApiError) as refused:
        schema.prepare(CUSTOM, widget(**spec), field_validation="")
    return causes(refused.value)


UNCHECKED = (
    "<nil>",
    "Invalid value: null: some validation rules were not checked because the object was invalid; correct the"
    " existing errors to"
    " complete validation",
)


def test_custom_resources_are_defaulted_and_pruned() -> None:
    made = schema.prepare(CUSTOM, widget(nope=1, any={"x": 1}, color=None), field_validation="")
    assert made.obj["spec"] == {"size": 3, "any": {"x": 1}, "color": "red"}
    assert made.warnings == ['unknown field "spec.nope"']


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({"size": 0}, [("spec.size", "Invalid value: 0: spec.size in body should be greater than or equal to 1")]),
        (
            {"size": "big"},
            [("spec.size", 'Invalid value: "string": spec.size in body must be of type integer: "string"'), UNCHECKED],
        ),
        (
            {"color": "blue"},
            [("spec.color", 'Unsupported value: "blue": supported values: "red", "green"'), UNCHECKED],
        ),
        ({"code": "A"}, [("spec.code", "Invalid value: \"A\": spec.code in body should match '^[a-z]+$'")]),
        ({"code": "TOOLONG"}, [("spec.code", "Too long: may not be more than 5 bytes"), UNCHECKED]),
        (
            {"q": 1.5},
            [("spec.q", 'Invalid value: "number": spec.q in body must be of type integer,string: "number"'), UNCHECKED],
        ),
        (
            {"when": "yesterday"},
            [
                ("spec.when", 'Invalid value: "yesterday": spec.when in body must be of type date-time: "yesterday"'),
                UNCHECKED,
            ],
        ),
        ({"tags": ["a", "a"]}, [("spec.tags[1]", 'Duplicate value: "a"')]),
        ({"ports": [{"name": "a"}, {"name": "a"}]}, [("spec.ports[1]", 'Duplicate value: {"name":"a"}')]),
        ({"ports": [{}]}, [("spec.ports[0].name", "Required value"), UNCHECKED]),
        ({"min": 9}, [("spec", "Invalid value: min must not exceed size")]),
        ({"size": 1001}, [("spec.size", "Forbidden: size is 1001")]),
    ],
)
def test_custom_resources_are_validated(spec: Object, found: list[tuple[str, str]]) -> None:
    assert widget_causes(**spec) == found


def test_rules_about_change_look_at_the_old_object() -> None:
    with pytest.raises(ApiError, match="fixed is immutable"):
        schema.validate_update(CUSTOM, widget(fixed="a"), widget(fixed="b"))
    schema.validate_update(CUSTOM, widget(fixed="a"), widget(fixed="a"))
    schema.prepare(CUSTOM, widget(fixed="a"), field_validation="")


def test_combinations_of_schemas_are_checked() -> None:
    either = {"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}
    assert structural.validate_schema(either, {"a": 1}) == []
    assert (
        "must validate one and only one schema" in structural.validate_schema(either, {"a": 1, "b": 1}, "x")[0].message
    )


def definition(properties: Object, **names_: str) -> Object:
    version = {"name": "v1", "served": True, "storage": True}
    return {
        "metadata": {"name": "bees.x.io"},
        "spec": {
            "group": "x.io",
            "scope": "Namespaced",
            "names": {"plural": "bees", "kind": "Bee", **names_},
            "versions": [{**version, "schema": {"openAPIV3Schema": {"type": "object", "properties": properties}}}],
        },
    }


@pytest.mark.parametrize(
    ("properties", "field", "message"),
    [
        (
            {"a": {"properties": {}}},
            "spec.validation.openAPIV3Schema.properties[a].type",
            "Required value: must not be empty for specified object fields",
        ),
        (
            {"a": {"type": "integer", "default": "x"}},
            "spec.validation.openAPIV3Schema.properties[a].default",
            'Invalid value: "string":  in body must be of type integer: "string"',
        ),
    ],
)
def test_definitions_must_be_structural(properties: Object, field: str, message: str) -> None:
    assert causes(refusal("customresourcedefinitions.apiextensions.k8s.io", definition(properties))) == [
        (field, message)
    ]


def test_rules_of_definitions_must_compile() -> None:
    properties = {"a": {"type": "integer", "x-kubernetes-validations": [{"rule": "self > "}]}}
    error = refusal("customresourcedefinitions.apiextensions.k8s.io", definition(properties))
    assert "compilation failed: ERROR: <input>:1:8: Syntax error" in error.message


def test_definitions_are_named_after_what_they_define() -> None:
    error = refusal("customresourcedefinitions.apiextensions.k8s.io", definition({}, plural="wasps"))
    assert causes(error) == [("metadata.name", 'Invalid value: "bees.x.io": must be spec.names.plural+"."+spec.group')]


# Rules, quantities, names.


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("quantity(self.q).isGreaterThan(quantity('500m'))", True),
        ("self.l.all(x, x > 0)", True),
        ("self.?nope.orValue(3)", 3),
        ("'a1b2'.findAll('[0-9]')", ["1", "2"]),
        ("[1, 3, 2].isSorted()", False),
        ("url('http://a.b:80/x').getPort()", "80"),
        ("isQuantity('x')", False),
    ],
)
def test_rules_have_the_functions_of_kubernetes(expression: str, value: Any) -> None:
    assert rules.evaluate(expression, {"self": {"q": "1", "l": [1, 2]}}) == value


def test_rules_fail_in_the_words_of_a_real_server() -> None:
    with pytest.raises(rules.RuleError, match=r"^no such key: nope$"):
        rules.evaluate("self.nope == 1", {"self": {}})
    with pytest.raises(rules.RuleSyntaxError, match=r"^ERROR: <input>:1:6: Syntax error"):
        rules.evaluate("self.", {"self": {}})


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("0.5", "500m"),
        ("1024Mi", "1Gi"),
        ("1500Mi", "1500Mi"),
        ("1000", "1k"),
        ("1e3", "1e3"),
        ("0", "0"),
        (2, "2"),
        ("0.0001", "100u"),
        ("1.5Gi", "1536Mi"),
    ],
)
def test_quantities_have_one_form(given: Any, shown: str) -> None:
    assert quantity.canonical(given) == shown


@given(st.integers(min_value=0, max_value=10**15), st.sampled_from(["", "m", "k", "M", "G", "Ki", "Mi", "Gi"]))
def test_the_form_of_a_quantity_keeps_its_amount(number: int, suffix: str) -> None:
    text = f"{number}{suffix}"
    assert quantity.parse(quantity.canonical(text)) == quantity.parse(text)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_adding_and_subtracting_undo_each_other(one: int, other: int) -> None:
    total = quantity.add(f"{one}Ki", f"{other}Mi")
    assert quantity.parse(quantity.add(total, f"{other}Mi", subtract=True)) == quantity.parse(f"{one}Ki")


@given(st.text(max_size=80))
def test_names_that_pass_have_the_form_of_names(text: str) -> None:
    if not names.dns_label(text):
        assert len(text) <= 63
        assert text == text.lower()
        assert not names.dns_subdomain(text)
