"""Reads rendered manifests for the tests of the chart, strictly: no key may stand twice.

    manifests.py json                      from stdin: the documents as a JSON list
    manifests.py check FOLDER VERSION...   every document of every *.yaml against the schemas of these Kubernetes versions, and those of
                                           the Prometheus operator; one line for each thing that is wrong, then how many documents were read
"""

import json
import pathlib
import re
import sys

import yaml


class Strict(yaml.CSafeLoader):
    """YAML as the API server reads it."""


def mapping(loader, node):
    keys = [key.value for key, _ in node.value]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        raise ValueError(f"{node.start_mark}: stands twice: {', '.join(sorted(twice))}")
    return loader.construct_mapping(node, deep=True)


Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)


def documents(text):
    return [document for document in yaml.load_all(text, Loader=Strict) if document is not None]


class Kubernetes:
    """The strict schemas of one version: a field that is not in them is wrong."""

    def __init__(self, version):
        import kubernetes_validate

        self.version = version
        self.folder = pathlib.Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / f"v{version}.0-local-strict"
        self.definitions = json.loads((self.folder / "_definitions.json").read_text())
        self.validators = {}

    def wrong(self, document):
        from jsonschema import Draft202012Validator
        from referencing import Registry, Resource

        kind, api = document["kind"], document["apiVersion"]
        if (kind, api) not in self.validators:
            # networking.k8s.io/v1 is networking-v1 here.
            group = re.sub(r"^([^./]*)(?:[.][^/]*)?/", r"\1-", api)
            schema = json.loads((self.folder / f"{kind.lower()}-{group}.json").read_text())
            registry = Resource.from_contents(self.definitions) @ (Resource.from_contents(schema) @ Registry())
            self.validators[kind, api] = Draft202012Validator(schema, registry=registry)
        for error in self.validators[kind, api].iter_errors(document):
            yield f"in {self.version}: {error.json_path}: {error.message}"


def wrong_for_the_operator(document):
    from cloudcoil.models.prometheus_operator import v1
    from pydantic import ValidationError

    try:
        read = getattr(v1, document["kind"]).model_validate(document)
    except ValidationError as error:
        yield from str(error).splitlines()
        return
    # A field that the operator's types do not have is lost in them.
    back = read.model_dump(by_alias=True, exclude_unset=True, mode="json")
    if back != document:
        yield f"has what the operator's types have not: {json.dumps(document['spec'])} is {json.dumps(back['spec'])} to them"


NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


def wrong_names(document):
    """What the API server checks and no schema says."""
    if not NAME.fullmatch(document["metadata"]["name"]):
        yield f"is no name: {document['metadata']['name']}"
    template = document.get("spec", {}).get("template", {})
    labels = [*document["metadata"].get("labels", {}).items(), *template.get("metadata", {}).get("labels", {}).items()]
    yield from (f"is no label: {name}={value}" for name, value in labels if not LABEL.fullmatch(value))
    pod = document.get("spec", {}) if document["kind"] == "Pod" else template.get("spec", {})
    for container in [*pod.get("initContainers", []), *pod.get("containers", [])]:
        for what in ("env", "ports", "volumeMounts"):
            names = [one.get("mountPath", one["name"]) for one in container.get(what, [])]
            yield from (f"has {name} twice in {what}" for name in sorted({name for name in names if names.count(name) > 1}))
    volumes = [volume["name"] for volume in pod.get("volumes", [])]
    yield from (f"has the volume {name} twice" for name in sorted({name for name in volumes if volumes.count(name) > 1}))


def check(folder, versions):
    kubernetes = [Kubernetes(version) for version in versions]
    seen, read, bad = {}, 0, False
    for file in sorted(pathlib.Path(folder).glob("*.yaml")):
        names = set()
        try:
            found = documents(file.read_text())
        except (ValueError, yaml.YAMLError) as error:
            found, bad = [], True
            print(f"{file.name}: {error}")
        for document in found:
            read += 1
            who = f"{document['kind']}/{document['metadata']['name']}"
            text = json.dumps(document, sort_keys=True)
            if text not in seen:
                seen[text] = [*wrong_names(document)]
                if document["apiVersion"].startswith("monitoring.coreos.com/"):
                    seen[text] += wrong_for_the_operator(document)
                else:
                    seen[text] += [line for version in kubernetes for line in version.wrong(document)]
            wrong = seen[text] + (["is there twice"] if who in names else [])
            names.add(who)
            for line in wrong:
                bad = True
                print(f"{file.name}: {who} {line}")
    print(f"read {read} documents")
    return bad


if __name__ == "__main__":
    if sys.argv[1] == "json":
        json.dump(documents(sys.stdin.buffer.read()), sys.stdout)
    else:
        sys.exit(check(sys.argv[2], sys.argv[3:]))
