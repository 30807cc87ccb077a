"""What the Hub accepts: names of repositories, front matters, and which files must go through large file storage."""

import fnmatch
import math
import re

import yaml


class Refused(Exception):
    """An answer that is an error: HTTP status, message, the Hub's error code, and more keys of the body."""

    def __init__(self, status, message, code=None, **body):
        super().__init__(message)
        self.status, self.message, self.code, self.body = status, message, code, body


NAME = re.compile(r"(?!.*(--|\.\.))(?!.*\.git$)[A-Za-z0-9_]([A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
LICENCES = {
    *("apache-2.0", "mit", "openrail", "bigscience-openrail-m", "creativeml-openrail-m", "bigscience-bloom-rail-1.0"),
    *("bigcode-openrail-m", "afl-3.0", "artistic-2.0", "bsl-1.0", "bsd", "bsd-2-clause", "bsd-3-clause", "c-uda", "cc"),
    *("bsd-3-clause-clear", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0"),
    *("cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0"),
    *("cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cdla-sharing-1.0"),
    *("cdla-permissive-1.0", "cdla-permissive-2.0", "wtfpl", "ecl-2.0", "epl-1.0", "epl-2.0", "etalab-2.0", "eupl-1.1"),
    *("eupl-1.2", "agpl-3.0", "gfdl", "gpl", "gpl-2.0", "gpl-3.0", "lgpl", "lgpl-2.1", "lgpl-3.0", "isc", "lppl-1.3c"),
    *("ms-pl", "mpl-2.0", "odc-by", "odbl", "openrail++", "osl-3.0", "postgresql", "ofl-1.1", "ncsa", "unlicense"),
    *("zlib", "pddl", "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "gemma", "unknown", "other"),
}
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
LFS_SUFFIXES = (
    *("7z", "arrow", "bin", "bz2", "ckpt", "ftz", "gz", "h5", "joblib", "lfs.*", "mlmodel", "model", "msgpack", "npy"),
    *("npz", "onnx", "ot", "parquet", "pb", "pickle", "pkl", "pt", "pth", "rar", "safetensors", "tar", "tflite", "tgz"),
    *("wasm", "xz", "zip", "zst"),
)
GITATTRIBUTES = "".join(f"*.{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES).encode()


def check_name(name):
    if not NAME.fullmatch(name or ""):
        raise Refused(400, f"Invalid repo name: {name}")


def tracked_by_lfs(path, attributes):
    """Whether a `.gitattributes` sends ``path`` to large file storage."""
    patterns = [line.split()[0] for line in attributes.decode().splitlines() if "filter=lfs" in line]
    return any(fnmatch.fnmatch(path, pattern) or fnmatch.fnmatch(path.split("/")[-1], pattern) for pattern in patterns)


def is_binary(sample):
    return b"\0" in sample


def front_matter_faults(text, repo_type):
    """Warnings and errors about the metadata of a README.md, as /api/validate-yaml gives them."""
    match = re.match(r"---[ \t]*\n(.*?)\n---[ \t]*(\n|$)", text, re.DOTALL)
    if not match:
        return ["empty or missing yaml metadata in repo card"], []
    try:
        data = yaml.safe_load(match[1])
    except yaml.YAMLError as error:
        return [], [f"YAML error: {error}"]
    if not isinstance(data, dict):
        return [], ["YAML metadata must be an object"]
    errors = [*_licence_faults(data), *_text_faults(data), *_index_faults(data)]
    if repo_type == "space":
        errors += _space_faults(data)
    return [], errors


def _licence_faults(data):
    if "license" not in data:
        return []
    licences = data["license"] if isinstance(data["license"], list) else [data["license"]]
    return ['"license" must be one of the known licences' for entry in licences if entry not in LICENCES]


def _text_faults(data):
    errors = []
    languages = data.get("language", [])
    for language in languages if isinstance(languages, list) else [languages]:
        if not isinstance(language, str) or not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]+)*|code|multilingual", language):
            errors.append('"language" must only contain language codes')
    for key in ("tags", "datasets", "metrics"):
        value = data.get(key, [])
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            errors.append(f'"{key}" must be an array of strings')
    models = data.get("base_model", [])
    for model in models if isinstance(models, list) else [models]:
        if not isinstance(model, str) or not all(NAME.fullmatch(part) for part in model.split("/")):
            errors.append('"base_model" with value is not valid. Use a model id from the Hub')
    return errors


def _index_faults(data):
    errors, index = [], data.get("model-index", [])
    if not isinstance(index, list):
        return ['"model-index" must be an array']
    for model in index:
        if not isinstance(model, dict) or not isinstance(model.get("name"), str) or not model["name"]:
            errors.append('"model-index[0].name" is required')
            continue
        if not isinstance(model.get("results"), list) or not model["results"]:
            errors.append('"model-index[0].results" is required')
            continue
        for result in model["results"]:
            errors += _result_faults(result)
    return errors


def _result_faults(result):
    errors = []
    if not isinstance(result.get("task"), dict) or not result["task"].get("type"):
        errors.append('"model-index[0].results[0].task.type" is required')
    if not all((result.get("dataset") or {}).get(key) for key in ("type", "name")):
        errors.append('"model-index[0].results[0].dataset" needs a type and a name')
    if not result.get("metrics"):
        errors.append('"model-index[0].results[0].metrics" is required')
    for metric in result.get("metrics") or []:
        value = metric.get("value")
        if not metric.get("type") or value is None or (isinstance(value, float) and not math.isfinite(value)):
            errors.append('"model-index[0].results[0].metrics[0]" needs a type and a finite value')
    return errors


def _space_faults(data):
    errors = []
    if data.get("sdk") not in ("gradio", "docker", "static"):
        errors.append('"sdk" must be one of [gradio, docker, static]')
    for key in ("colorFrom", "colorTo"):
        if key in data and data[key] not in COLOURS:
            errors.append(f'"{key}" must be one of {sorted(COLOURS)}')
    if len(str(data.get("short_description", ""))) > 60:
        errors.append('"short_description" length must be less than or equal to 60 characters long')
    return errors
