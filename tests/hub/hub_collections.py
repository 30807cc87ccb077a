"""The Hub's collections."""

import hashlib
import re

from hub_rules import Refused


class Collections:
    """Collections by slug, each the data that the API answers with.

    Args:
        exists: whether an item (type and id) is on the Hub for a user.
    """

    def __init__(self, exists):
        self.by_slug, self._exists = {}, exists

    def all(self, user, owner=None):
        found = [c for c in self.by_slug.values() if owner is None or c["owner"]["name"] == owner]
        seen = [self._seen(c) for c in found if not c["private"] or _owns(user, c)]
        # A listing has no positions and at most four items of each.
        return [{**{k: v for k, v in c.items() if k != "position"}, "items": c["items"][:4]} for c in seen]

    def get(self, user, slug):
        collection = self.by_slug.get(slug)
        if collection is None or (collection["private"] and not _owns(user, collection)):
            raise Refused(404, "Collection not found")
        return self._seen(collection)

    def create(self, user, body):
        namespace, title = body.get("namespace"), body.get("title", "")
        if user is None or user.role != "write" or namespace not in user.namespaces:
            raise Refused(403, "You don't have the rights to create a collection under this namespace")
        _check(title, body.get("description"))
        same = [c for c in self.by_slug.values() if c["owner"]["name"] == namespace and c["title"] == title]
        if same:
            raise Refused(409, "This collection already exists", slug=same[0]["slug"])
        words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        slug = f"{namespace}/{words}-{hashlib.sha1((namespace + title).encode()).hexdigest()[:24]}"
        self.by_slug[slug] = {
            "slug": slug,
            "title": title,
            "description": body.get("description"),
            "owner": {"name": namespace, "type": "user"},
            "items": [],
            "lastUpdated": "2026-01-01T00:00:00.000Z",
            "position": len(self.by_slug),
            "private": bool(body.get("private")),
            "theme": "orange",
            "upvotes": 0,
        }
        return self._seen(self.by_slug[slug])

    def update(self, user, slug, body):
        collection = self._writable(user, slug)
        _check(body.get("title", collection["title"]), body.get("description"))
        known = ("title", "description", "private", "position", "theme")
        collection.update({key: value for key, value in body.items() if key in known})
        return {"success": True, "data": self._seen(collection)}

    def delete(self, user, slug):
        self._writable(user, slug)
        del self.by_slug[slug]
        return {"success": True}

    def add_item(self, user, slug, body):
        collection, item = self._writable(user, slug), body["item"]
        if not self._exists(user, item["type"], item["id"]):
            raise Refused(404, f"{item['type']} {item['id']} does not exist")
        if any((i["type"], i["id"]) == (item["type"], item["id"]) for i in collection["items"]):
            raise Refused(409, "This item is already in the collection")
        note = _note(body.get("note"))
        collection["items"].append(
            {"_id": hashlib.sha1(f"{slug}{item}".encode()).hexdigest()[:24], **item, "position": 0, **note}
        )
        return self._seen(collection)

    def update_item(self, user, slug, item_id, body):
        collection = self._writable(user, slug)
        item = self._item(collection, item_id)
        item.update(_note(body.get("note")))
        if "position" in body:
            collection["items"].remove(item)
            collection["items"].insert(body["position"], item)
        return {"success": True}

    def delete_item(self, user, slug, item_id):
        collection = self._writable(user, slug)
        collection["items"].remove(self._item(collection, item_id))
        return {"success": True}

    def _writable(self, user, slug):
        self.get(user, slug)
        collection = self.by_slug[slug]
        if not _owns(user, collection) or user.role != "write":
            raise Refused(403, "You don't have the rights to change this collection")
        return collection

    def _item(self, collection, item_id):
        found = [item for item in collection["items"] if item["_id"] == item_id]
        if not found:
            raise Refused(404, "This item is not in the collection")
        return found[0]

    def _seen(self, collection):
        items = [{**item, "position": index} for index, item in enumerate(collection["items"])]
        return {**collection, "items": items}


def _owns(user, collection):
    return user is not None and collection["owner"]["name"] in user.namespaces


def _check(title, description):
    if not title or len(title) > 60:
        raise Refused(400, '"title" length must be between 1 and 60 characters')
    if description and len(description) > 150:
        raise Refused(400, '"description" length must be less than or equal to 150 characters long')


def _note(text):
    if text is not None and len(text) > 500:
        raise Refused(400, '"note" length must be less than or equal to 500 characters long')
    return {} if text is None else {"note": {"text": text, "html": text}}
