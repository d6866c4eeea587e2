#!/usr/bin/env python3
"""Runs Mutating- and ValidatingAdmissionPolicies on objects without an API server, with Google's CEL (cel-expr-python).

    admit.py FILE... <cases.json      prints a JSON list, one result a case
    admit.py --lint FILE...           prints what an API server would not like, one line each
    admit.py --validate <objects.json prints what the strict schema of Kubernetes 1.36 does not accept, one line each

A case: {"object": a Pod or an object with a template, "old": the object before an update, "namespace": the labels of its
namespace, "late": containers that a webhook adds after the mutating policies}. A result: {"object", "refused": [...],
"warned": [...], "audit": {...}, "errors": [...]}.

The API server's own parts of CEL are added here: Object{...} and JSONPatch{...}, lists.range, flatten, sum, quantity and
jsonpatch.escapeKey. Literals become maps that remember their type, so that a type which does not fit its place is found.
Expressions are type-checked with the types of the variables before them. Defaults of the API that policies can see are set.
"""

import copy
import functools
import json
import re
import sys
from fractions import Fraction

import yaml
from cel_expr_python import cel
from cel_expr_python.ext import ext_optional, ext_strings

DYN, INT, STRING, BOOL = cel.Type.DYN, cel.Type.INT, cel.Type.STRING, cel.Type.BOOL
TYPE = "\N{LEFT-POINTING ANGLE BRACKET}type"  # The key under which a literal keeps its type.
ROOTS = ("object", "oldObject", "request", "namespaceObject", "variables")


class Refused(Exception):
    pass


# --- CEL -------------------------------------------------------------------------------------------------------------


def plain(value):
    if hasattr(value, "plain_value"):
        value = value.plain_value()
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {plain(key): plain(one) for key, one in value.items()}
    return value


def function(name, result, parameters, implementation, member=False):
    call = lambda *arguments: implementation(*[plain(argument) for argument in arguments])
    return cel.FunctionDecl(name, [cel.Overload(f"api_{name}", result, parameters, member, call)])


def flatten(lists):
    return [one for part in lists for one in (part if isinstance(part, list) else [part])]


UNITS = {unit: Fraction(1024) ** (n + 1) for n, unit in enumerate(["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"])}
UNITS |= {unit: Fraction(1000) ** n for n, unit in zip(range(-3, 7), ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"])}
QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|([KMGTPE]i|[numkMGTPE]?))")


def quantity(text):
    """A map, so that a text in its place is found by the type check; equal amounts are equal maps."""
    if not (match := QUANTITY.fullmatch(text)):
        raise ValueError(f"not a quantity: {text!r}")
    number, exponent, unit = match.groups()
    return {"quantity": str(Fraction(number + (exponent or "")) * UNITS[unit or ""])}


def compared(one, other):
    one, other = Fraction(one["quantity"]), Fraction(other["quantity"])
    return (one > other) - (one < other)


AMOUNT = cel.Type.Map(STRING, STRING)
FUNCTIONS = [
    function("quantity", AMOUNT, [STRING], quantity),
    function("compareTo", INT, [AMOUNT, AMOUNT], compared, member=True),
    function("isGreaterThan", BOOL, [AMOUNT, AMOUNT], lambda one, other: compared(one, other) > 0, member=True),
    function("flatten", cel.Type.List(DYN), [cel.Type.List(DYN)], flatten, member=True),
    function("sum", INT, [cel.Type.List(INT)], sum, member=True),
    function("lists_range", cel.Type.List(INT), [INT], lambda count: list(range(count))),
    function("escapeKey", STRING, [STRING], lambda key: key.replace("~", "~0").replace("/", "~1")),
]
LITERAL = re.compile(r"\b(JSONPatch|Object(?:\.\w+)*)\s*\{")
TEXT = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'")
FIELD = re.compile(r"\s*(\w+)\s*:(?!:)")


def rewritten(text):
    """`JSONPatch{op: x}` as `dyn({TYPE: "JSONPatch", "op": x})`."""
    out, closers, at, field = [], [], 0, False
    while at < len(text):
        if match := TEXT.match(text, at):
            piece, field = match.group(), False
        elif match := LITERAL.match(text, at):
            closers.append("})")
            piece, field = f"dyn({{{json.dumps(TYPE)}: {json.dumps(match.group(1))}, ", True
        elif field and (match := FIELD.match(text, at)):
            piece, field = f'"{match.group(1)}": ', False
        else:
            match, piece = None, text[at]
            if piece in "{[(":
                closers.append({"{": "}", "[": "]", "(": ")"}[piece])
            elif piece in "}])":
                piece = closers.pop()
                field = False
            elif piece == ",":
                field = bool(closers) and closers[-1] == "})"
        out.append(piece)
        at = match.end() if match else at + 1
    return "".join(out).replace("lists.range(", "lists_range(").replace("jsonpatch.escapeKey(", "escapeKey(")


class Expression:
    """A checked expression; `types` are those of the variables before it."""

    compiled = {}

    def __init__(self, text, types):
        key = (text, tuple((name, str(kind.name())) for name, kind in types.items()))
        if key not in Expression.compiled:
            names = {name: DYN for name in ROOTS if name != "variables"}
            names |= {f"variables.{name}": kind for name, kind in types.items()}
            extensions = [ext_optional.ExtOptional(), ext_strings.ExtStrings()]
            env = cel.NewEnv(variables=names, extensions=extensions, functions=FUNCTIONS)
            compiled = env.compile(rewritten(text))
            # The environment must live as long as its expressions.
            Expression.compiled[key] = (env, compiled)
        self.expression = Expression.compiled[key][1]
        self.type = self.expression.return_type()

    def value(self, data):
        value = self.expression.eval(data=data)
        if value.type() == cel.Type.ERROR:
            raise ValueError(str(value.value()))
        return plain(value)


class Policy:
    def __init__(self, document):
        self.kind, self.name, self.spec = document["kind"], document["metadata"]["name"], document["spec"]
        self.conditions = [(c["name"], Expression(c["expression"], {})) for c in self.spec.get("matchConditions") or []]
        self.types, self.variables = {}, []
        for variable in self.spec.get("variables") or []:
            expression = Expression(variable["expression"], self.types)
            self.variables.append((variable["name"], expression))
            self.types[variable["name"]] = expression.type
        compiled = lambda text: Expression(text, self.types)
        self.mutations = [compiled(m["jsonPatch"]["expression"]) for m in self.spec.get("mutations") or []]
        self.validations = [
            (compiled(v["expression"]), compiled(v["messageExpression"]) if "messageExpression" in v else None, v["message"])
            for v in self.spec.get("validations") or []
        ]
        self.audit = [(a["key"], compiled(a["valueExpression"])) for a in self.spec.get("auditAnnotations") or []]

    def data(self, request):
        """What its expressions see: a variable is evaluated when it is used, but each of ours is used somewhere."""
        data = dict(request)
        for name, expression in self.variables:
            data[f"variables.{name}"] = expression.value(data)
        return data

    def applies(self, request):
        return all(condition.value(request) for _, condition in self.conditions)


# --- the API server --------------------------------------------------------------------------------------------------

RESOURCES = {
    "Pod": ("", "pods"),
    "Deployment": ("apps", "deployments"),
    "StatefulSet": ("apps", "statefulsets"),
    "DaemonSet": ("apps", "daemonsets"),
    "Job": ("batch", "jobs"),
    "CronJob": ("batch", "cronjobs"),
    "ReplicaSet": ("apps", "replicasets"),
}


def rules_match(rules, request):
    group, resource = RESOURCES[request["object"]["kind"]]
    operation = request["request"]["operation"]
    return any(
        group in rule["apiGroups"] and resource in rule["resources"] and operation in rule["operations"] for rule in rules
    )


def selects(selector, labels):
    operators = {
        "Exists": lambda have, _: have is not None,
        "DoesNotExist": lambda have, _: have is None,
        "In": lambda have, values: have in values,
        "NotIn": lambda have, values: have not in values,
    }
    asked = [(key, "In", [value]) for key, value in (selector.get("matchLabels") or {}).items()]
    asked += [(e["key"], e["operator"], e.get("values")) for e in selector.get("matchExpressions") or []]
    return all(operators[operator](labels.get(key), values) for key, operator, values in asked)


def is_bound(binding, request):
    match = binding["spec"].get("matchResources") or {}
    labels = request["object"]["metadata"].get("labels") or {}
    of_namespace = request["namespaceObject"]["metadata"].get("labels") or {}
    return (
        selects(match.get("objectSelector") or {}, labels)
        and selects(match.get("namespaceSelector") or {}, of_namespace)
        and ("resourceRules" not in match or rules_match(match["resourceRules"], request))
    )


def template(document):
    spec = document["spec"]
    return document if document["kind"] == "Pod" else (spec.get("jobTemplate", document)["spec"])["template"]


def typed(value):
    """Without what an object of the API server's types does not keep: null, empty lists, empty maps that are not objects, and
    a `readOnly` that is false."""
    if isinstance(value, list):
        return [typed(one) for one in value]
    if not isinstance(value, dict):
        return value
    maps = ("annotations", "labels", "limits", "requests", "nodeSelector")
    lost = lambda key, one: one is None or one == [] or (one == {} and key in maps) or (one is False and key == "readOnly")
    return {key: typed(one) for key, one in value.items() if not lost(key, one)}


def with_defaults(document):
    """The defaults that the API server sets before it calls a policy, as far as ours can see them."""
    document = typed(document)
    document.setdefault("metadata", {})
    spec = template(document)["spec"]
    spec.setdefault("terminationGracePeriodSeconds", 30)
    for container in spec["containers"] + spec.get("initContainers", []):
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if probe in container:
                container[probe].setdefault("periodSeconds", 10)
        resources = container.get("resources", {})
        for name, limit in (resources.get("limits") or {}).items():
            resources.setdefault("requests", {}).setdefault(name, limit)
    return document


def check_types(value, place):
    """A literal's type must be that of its place: `Object.spec.volumes` at /spec/volumes/-."""
    if isinstance(value, list):
        for one in value:
            check_types(one, place)
    elif isinstance(value, dict):
        if (kind := value.pop(TYPE, None)) is not None and kind != place:
            raise Refused(f"a literal of the type {kind} in the place of {place}")
        for key, one in value.items():
            check_types(one, f"{place}.{key}")


def has_literals(value):
    if isinstance(value, list):
        return any(has_literals(one) for one in value)
    return isinstance(value, dict) and (TYPE in value or any(has_literals(one) for one in value.values()))


def patched(document, patches):
    document = copy.deepcopy(document)
    for patch in patches:
        if patch.pop(TYPE, None) != "JSONPatch" or not {"op", "path", "value"} == patch.keys():
            raise Refused(f"not a JSONPatch: {patch}")
        value, path = patch["value"], patch["path"]
        if isinstance(value, list) and has_literals(value):
            raise Refused(f"{path}: a list of typed objects as a value makes the API server panic")
        keys = [key.replace("~1", "/").replace("~0", "~") for key in path.split("/")[1:]]
        check_types(value, ".".join(["Object"] + [key for key in keys if key != "-" and not key.isdigit()]))
        *way, last = keys
        at = document
        for key in way:
            at = at[int(key)] if isinstance(at, list) else at[key]
        if isinstance(at, list):
            index = len(at) if last == "-" else int(last)
            if patch["op"] == "add" and index <= len(at):
                at.insert(index, value)
            else:
                at[index] = value
        elif patch["op"] == "replace" and last not in at:
            raise Refused(f"{path}: there is nothing to replace")
        else:
            at[last] = value
    return typed(document)


class ApiServer:
    def __init__(self, documents):
        self.policies = {(d["kind"], d["metadata"]["name"]): Policy(d) for d in documents if d["kind"].endswith("Policy")}
        self.bindings = [d for d in documents if d["kind"].endswith("Binding")]

    def bound(self, kind, request):
        """Each policy that is bound to the request, with its bindings."""
        for (policy_kind, name), policy in sorted(self.policies.items()):
            if policy_kind != kind or not rules_match(policy.spec["matchConstraints"]["resourceRules"], request):
                continue
            of_policy = [b for b in self.bindings if b["kind"] == f"{kind}Binding" and b["spec"]["policyName"] == name]
            found = [b for b in of_policy if is_bound(b, request)]
            if found:
                yield policy, found

    def mutate(self, request, called=None):
        """Calls the policies; in the second round those that were `called` in the first one. Returns the ones called."""
        now = []
        for policy, _ in self.bound("MutatingAdmissionPolicy", request):
            if called is not None and (policy.name not in called or policy.spec.get("reinvocationPolicy") != "IfNeeded"):
                continue
            try:
                if policy.applies(request):
                    now.append(policy.name)
                    for mutation in policy.mutations:
                        request["object"] = patched(request["object"], mutation.value(policy.data(request)))
            except Exception as error:
                raise Refused(f"policy {policy.name}: {error!r}") from error
        return now

    def admit(self, case):
        document = with_defaults(case["object"])
        old = case.get("old")
        request = {
            "object": document,
            "oldObject": with_defaults(old) if old else None,
            "request": {"operation": "UPDATE" if old else "CREATE"},
            "namespaceObject": {"metadata": {"name": "shop", "labels": case.get("namespace") or {}}},
        }
        result = {"refused": [], "warned": [], "audit": {}, "errors": []}
        try:
            called = self.mutate(request)
            late = case.get("late") or []
            if late:
                request["object"]["spec"]["containers"] += late
            # Each change leads to a second round, also one by the policy itself.
            if late or request["object"] != document:
                self.mutate(request, called)
        except Refused as refused:
            result["errors"].append(str(refused))
        result["object"] = request["object"]
        for policy, bindings in self.bound("ValidatingAdmissionPolicy", request):
            actions = {action for binding in bindings for action in binding["spec"]["validationActions"]}
            if len(bindings) > 1:
                result["errors"].append(f"{policy.name}: bound twice")
            try:
                if policy.applies(request):
                    self.validate(policy, policy.data(request), actions, result)
            except Exception as error:
                result["errors"].append(f"policy {policy.name}: {error!r}")
        return result

    @staticmethod
    def validate(policy, data, actions, result):
        for expression, message_expression, message in policy.validations:
            if expression.value(data) is True:
                continue
            text = message_expression.value(data) if message_expression else message
            if not text.strip() or "\n" in text:
                text = message
            if "Deny" in actions:
                result["refused"].append(text)
            if "Warn" in actions:
                result["warned"].append(text)
        for key, expression in policy.audit:
            if value := expression.value(data):
                result["audit"][key] = value


# --- static rules ----------------------------------------------------------------------------------------------------


def lint(documents):
    found = []
    names = {(d["kind"], d["metadata"]["name"]) for d in documents}
    for document in documents:
        kind, name, spec = document["kind"], document["metadata"]["name"], document["spec"]
        rule = lambda holds, text: None if holds else found.append(f"{kind} {name}: {text}")
        rule("paramKind" not in spec and "paramRef" not in spec, "has parameters, which can freeze (kubernetes#130887)")
        if kind.endswith("Binding"):
            rule((kind.removesuffix("Binding"), spec["policyName"]) in names, "names a policy that is not there")
            continue
        for condition in spec.get("matchConditions") or []:
            text = condition["expression"]
            rule("variables." not in text and "namespaceObject" not in text, "a match condition has no such variable")
        try:
            policy = Policy(document)
        except Exception as error:
            found.append(f"{kind} {name}: {error}")
            continue
        for condition, expression in policy.conditions:
            rule(expression.type == BOOL, f"{condition} is not a bool: {expression.type.name()}")
        if kind == "MutatingAdmissionPolicy":
            rule(spec["failurePolicy"] == "Fail", "a failure must refuse the pod, or a half of it may be changed")
            rule(len(spec["mutations"]) == 1, "several mutations may be applied in part")
            rule(all(m["patchType"] == "JSONPatch" for m in spec["mutations"]), "ApplyConfiguration cannot set args")
            text = "".join(m["jsonPatch"]["expression"] for m in spec["mutations"])
            listed = re.search(r"value:\s*\[\s*Object\b", text)
            rule(not listed, "a list of typed objects as a value makes the API server panic (kubernetes#142181)")
            first = [variable["name"] for variable in spec["variables"][:2]]
            rule(first == ["image", "defaults"], "a cluster's patch expects image and defaults first")
        else:
            rule(spec["failurePolicy"] == "Ignore", "a mistake in it would hold workloads back")
            for expression, message, _ in policy.validations:
                rule(expression.type == BOOL, "a validation is not a bool")
                rule(message is None or message.type == STRING, "a message is not a string")
            for key, expression in policy.audit:
                rule(expression.type == STRING, f"the audit annotation {key} is not a string")
        text = yaml.safe_dump(spec, width=10000)
        unlimited = re.search(r"\.split\((?:'[^']*'|''[^']*''|\"[^\"]*\")\)", text)
        rule(not unlimited, "a split without a limit: the API server's time grows with the square of the items")
        for variable, _ in policy.variables:
            rule(f"variables.{variable}" in text, f"the variable {variable} is not used")
    return found


def documents_of(files):
    return [d for file in files for d in yaml.safe_load_all(open(file)) if d and d["kind"] != "Kustomization"]


def validate(objects):
    """As `kubernetes-validate --strict` does it, with each schema read once."""
    from kubernetes_validate import utils

    utils.schema_contents = functools.cache(utils.schema_contents)
    utils.Registry = functools.cache(utils.Registry)
    for number, document in enumerate(objects):
        try:
            utils.validate(document, "1.36", strict=True)
        except utils.ValidationError as error:
            yield f"{number}: {'.'.join(str(item) for item in error.path)}: {error.message}"


if __name__ == "__main__":
    if sys.argv[1] == "--validate":
        print("\n".join(validate(json.load(sys.stdin))))
    elif sys.argv[1] == "--lint":
        print("\n".join(lint(documents_of(sys.argv[2:]))))
    else:
        server = ApiServer(documents_of(sys.argv[1:]))
        json.dump([server.admit(case) for case in json.load(sys.stdin)], sys.stdout)
