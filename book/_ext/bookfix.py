"""Small repairs to what Jupyter Book 1 and Sphinx 7.4 make."""

from sphinx.ext.napoleon.docstring import GoogleDocstring


def dedupe(app, pagename, templatename, context, doctree):
    """Sphinx and sphinx-thebe name the same script twice, which is an error in the console."""
    seen, keep = set(), []
    for js in context.get("script_files", []):
        attributes = str(sorted(getattr(js, "attributes", {}).items()))
        key = (getattr(js, "filename", js) or "", attributes)
        if key not in seen:
            seen.add(key)
            keep.append(js)
    context["script_files"] = keep


def whole_text(self):
    """An attribute's docstring as it stands."""
    return self._dedent(self._consume_to_end())


def setup(app):
    app.connect("html-page-context", dedupe, priority=999)
    # Napoleon takes `Words: more words` in an attribute's docstring for `type: description`.
    GoogleDocstring._parse_attribute_docstring = whole_text
    return {"parallel_read_safe": True, "parallel_write_safe": True}
