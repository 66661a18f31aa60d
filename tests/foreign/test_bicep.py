"""azure/subscription.bicep against the types that Microsoft's management SDKs publish.

Nothing here compiles Bicep. The SDKs for Python are generated from the same specifications, each
for known API versions, and their models have the names that go over the wire."""

import importlib
import inspect
import re
import unittest
from enum import Enum
from pathlib import Path

from pycep import BicepParser

BICEP = Path(__file__).resolve().parents[2] / "azure" / "subscription.bicep"
# The model of each type and API version.
MODELS = {
    "Microsoft.Communication/communicationServices@2023-04-01": (
        "azure.mgmt.communication",
        "CommunicationServiceResource",
    ),
    "Microsoft.EventGrid/eventSubscriptions@2025-02-15": (
        "azure.mgmt.eventgrid",
        "EventSubscription",
    ),
    "Microsoft.EventGrid/systemTopics@2025-02-15": ("azure.mgmt.eventgrid", "SystemTopic"),
    "Microsoft.Insights/actionGroups@2023-01-01": (
        "azure.mgmt.monitor.v2023_01_01",
        "ActionGroupResource",
    ),
    "Microsoft.Insights/metricAlerts@2018-03-01": (
        "azure.mgmt.monitor.v2018_03_01",
        "MetricAlertResource",
    ),
    "Microsoft.Storage/storageAccounts@2023-05-01": (
        "azure.mgmt.storage.v2023_05_01",
        "StorageAccountCreateParameters",
    ),
    "Microsoft.Storage/storageAccounts/blobServices@2023-05-01": (
        "azure.mgmt.storage.v2023_05_01",
        "BlobServiceProperties",
    ),
    "Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01": (
        "azure.mgmt.storage.v2023_05_01",
        "BlobContainer",
    ),
}
# Properties that Bicep has for every resource.
OF_BICEP = {"name", "parent", "scope", "dependsOn"}
PLAIN = {"bool": bool, "int": int, "float": (int, float), "str": str}


class Checker:
    """A Bicep file and its faults."""

    def __init__(self, text):
        self.file = BicepParser().parse(text=text)
        self.faults = []
        for name, resource in self.file["resources"].items():
            self.resource(name, resource)

    def resource(self, name, resource):
        known = f"{resource['type']}@{resource['api_version']}"
        if known not in MODELS:
            return self.faults.append(f"{name}: {known} has no model here")
        package, model = MODELS[known]
        if not version_of(package).endswith(resource["api_version"].replace("-", "_")):
            return self.faults.append(f"{name}: {package} has another API version")
        models = importlib.import_module(f"{package}.models")
        config = resource["config"]
        while isinstance(config.get("config"), dict):
            config = config["config"]
        body = {key: value for key, value in config.items() if key not in OF_BICEP}
        if not resource["existing"]:
            self.object(name, models, getattr(models, model), body)

    def object(self, path, models, model, body):
        """Checks an object against a model: its names, and missing properties."""
        model = self.subtype(path, models, model, body)
        tree = {}
        for attribute, wire in model._attribute_map.items():
            *above, last = wire["key"].replace("\\.", "\0").split(".")
            place = tree
            for step in above:
                place = place.setdefault(step.replace("\0", "."), {})
            rules = model._validation.get(attribute, {})
            # The map calls a text what may be one of an enumeration; the documentation tells.
            told = re.search(rf":vartype {attribute}: str or\s+~[\w.]+\.(\w+)", model.__doc__)
            place[last.replace("\0", ".")] = (told[1] if told else wire["type"], rules)
        self.tree(path, models, tree, body)

    def subtype(self, path, models, model, body):
        """Returns the model that an object's discriminator names."""
        for attribute, names in vars(model).get("_subtype_map", {}).items():
            key = model._attribute_map[attribute]["key"].replace("\\.", ".")
            named = {name.strip("'"): value for name, value in body.items()}.get(key)
            if named in names:
                return self.subtype(path, models, getattr(models, names[named]), body)
            self.faults.append(f"{path}.{key}: {named} is none of {sorted(names)}")
        return model

    def tree(self, path, models, tree, body):
        for name, value in body.items():
            name = name.strip("'")
            here = f"{path}.{name}"
            if name not in tree:
                self.faults.append(f"{here}: there is no such property")
            elif isinstance(tree[name], dict):
                self.tree(here, models, tree[name], value)
            else:
                kind, rules = tree[name]
                if rules.get("readonly"):
                    self.faults.append(f"{here}: is read-only")
                self.value(here, models, kind, value)
        given = {name.strip("'") for name in body}
        for name, found in tree.items():
            if isinstance(found, tuple) and name not in given | {"id", "type"} | OF_BICEP:
                rules = found[1]
                if rules.get("required") and not rules.get("readonly"):
                    self.faults.append(f"{path}.{name}: is missing")

    def value(self, path, models, kind, value):
        for value in self.values(value):
            if kind.startswith("["):
                for element in value if isinstance(value, list) else [value]:
                    self.value(f"{path}[]", models, kind[1:-1], element)
                continue
            model = getattr(models, kind, None)
            if inspect.isclass(model) and not issubclass(model, Enum):
                self.object(path, models, model, value)
                continue
            if inspect.isclass(model):
                known = {member.value for member in model}
                # A text with an expression in it is not known before the deployment.
                if isinstance(value, str) and "${" not in value and value not in known:
                    self.faults.append(f"{path}: {value} is none of {sorted(known)}")
            elif kind in PLAIN and not isinstance(value, PLAIN[kind]):
                self.faults.append(f"{path}: {value!r} is no {kind}")

    def values(self, value):
        """Returns every value that an expression can have, as far as the file says."""
        # A property may also be named `operator`; then it is a text.
        if isinstance(value, dict) and isinstance(value.get("operator"), dict):
            operands = value["operator"].get("operands", {})
            if value["operator"]["type"] != "conditional":
                return []
            return self.values(operands["true_value"]) + self.values(operands["false_value"])
        if isinstance(value, dict) and "function" in value:
            return []
        if value is None or value == "null":
            return []
        if isinstance(value, str) and value in self.file["variables"]:
            return self.values(self.file["variables"][value]["value"])
        if isinstance(value, str) and value in self.file["parameters"]:
            parameter = self.file["parameters"][value]
            allowed = [
                each["argument"] for each in parameter["decorators"] if each["type"] == "allowed"
            ]
            return allowed[0] if allowed else []
        return [value]


def version_of(package):
    """Returns an API version of a package, some of which have several."""
    if package[-1].isdigit():
        return package
    configuration = importlib.import_module(f"{package}._configuration")
    source = inspect.getsource(configuration)
    return source.split('kwargs.pop("api_version", "')[1].split('"')[0].replace("-", "_")


class Bicep(unittest.TestCase):
    def setUp(self):
        self.text = BICEP.read_text()

    def test_every_property_is_published(self):
        self.assertEqual([], Checker(self.text).faults)

    def test_a_slip_is_seen(self):
        for right, wrong in (
            ("accessTier: 'Hot'", "accesTier: 'Hot'"),
            ("accessTier: 'Hot'", "accessTier: 'Warm'"),
            ("'TLS1_2'", "'TLS1.2'"),
            ("allowBlobPublicAccess: false", "allowBlobPublicAccess: 'no'"),
            ("source: acs.id", "provisioningState: 'x'"),
            ("maxEventsPerBatch: 1", "maxEventPerBatch: 1"),
            ("endpointType: 'StorageBlob'", "endpointType: 'StorageQueue'"),
            ("  'CloudEventSchemaV1_0'\n", "  'CloudEventSchemaV1'\n"),
            ("eventTimeToLiveInMinutes: 1440", "eventTimeToLive: 1440"),
            ("criterionType: 'StaticThresholdCriterion'", "criterionType: 'Static'"),
            ("metricName: alert.metric", "metric: alert.metric"),
            ("emailAddress: alarmEmail", ""),
            ("actionGroupId: onCall.id", "actionGroup: onCall.id"),
            ("systemTopics@2025-02-15", "systemTopics@2025-04-15"),
            ("communicationServices@2023-04-01", "communicationServices@2023-03-31"),
        ):
            with self.subTest(wrong or f"no {right}"):
                self.assertIn(right, self.text)
                self.assertTrue(Checker(self.text.replace(right, wrong)).faults)


if __name__ == "__main__":
    unittest.main()
