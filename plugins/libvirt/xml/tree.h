/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* XML from outside, as a tree; for the readers and writers of this folder. */
#ifndef LV_XML_TREE_H
#define LV_XML_TREE_H
#include <hvkit/plugin.h>
#include <libxml/tree.h>

/* NULL and INVALID_ARGUMENT for what is malformed, too long (1 MiB), too deep (libxml2's 256), or has a document type. xmlFreeDoc.
 */
xmlDocPtr lv_xml_parse (const char *xml, struct hv_err *);

/* --- reading: elements by name; NULL where there is none. Texts are malloc'ed, NULL where there is none, or no memory --- */
xmlNodePtr lv_child (const xmlNode *, const char *name); /* the first; of a NULL node: NULL */
xmlNodePtr lv_next (const xmlNode *);                    /* the next of the same name */
uint32_t lv_count (const xmlNode *, const char *name);
char *lv_attr_of (const xmlNode *, const char *name);
int lv_attr_is (const xmlNode *, const char *name, const char *value);
char *lv_text_of (const xmlNode *);

/* --- writing: a failure for want of memory sticks, and is seen at the end --- */
struct lv_writer {
  xmlDocPtr doc;
  int failed;
};
/* A child of `parent` (NULL: the document's root) with attributes, pairs of name and value that end with NULL; one whose value is
 * NULL is left out. Texts are escaped by libxml2. */
xmlNodePtr lv_element (struct lv_writer *, xmlNodePtr parent, const char *name, ...) __attribute__ ((sentinel));
xmlNodePtr lv_element_text (struct lv_writer *, xmlNodePtr parent, const char *name, const char *text);
HV_PRINTF (4, 5) void lv_attr (struct lv_writer *, xmlNodePtr, const char *name, const char *fmt, ...);
/* The whole as text (malloc'ed); the document is freed, and so it is on failure. */
int lv_writer_end (struct lv_writer *, char **ret_xml, struct hv_err *);
#endif
