/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tree.h"
#include <libxml/parser.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XML_MAX (1u << 20)

static void
quiet (void *ctx, const char *fmt, ...)
{
  (void) ctx;
  (void) fmt;
}

/* No network, no entity is put in place, nothing is loaded; a document type has no business in a domain. */
xmlDocPtr
lv_xml_parse (const char *xml, struct hv_err *err)
{
  size_t size = strnlen (xml, XML_MAX + 1);
  if (size > XML_MAX)
    return (void) hv_err_set (err, HV_E_INVALID_ARGUMENT, "the XML is longer than %u bytes", XML_MAX), NULL;
  xmlParserCtxtPtr ctx = xmlNewParserCtxt ();
  if (ctx == NULL)
    return (void) hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory"), NULL;
  ctx->sax->error = ctx->sax->warning = quiet;
  xmlDocPtr doc = xmlCtxtReadMemory (ctx, xml, (int) size, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
  if (doc == NULL)
    (void) hv_err_set (err, HV_E_INVALID_ARGUMENT, "the XML cannot be read, line %d: %s", ctx->lastError.line,
                       ctx->lastError.message != NULL ? ctx->lastError.message : "malformed");
  xmlFreeParserCtxt (ctx);
  if (doc != NULL && (doc->intSubset != NULL || doc->extSubset != NULL)) {
    xmlFreeDoc (doc);
    return (void) hv_err_set (err, HV_E_INVALID_ARGUMENT, "the XML has a document type: entities are not accepted"), NULL;
  }
  return doc;
}

/* --- reading --- */

static xmlNodePtr
next_named (const xmlNode *n, const char *name)
{
  while (n != NULL && (n->type != XML_ELEMENT_NODE || strcmp ((const char *) n->name, name) != 0))
    n = n->next;
  return (xmlNodePtr) (uintptr_t) n;
}

xmlNodePtr
lv_child (const xmlNode *n, const char *name)
{
  return n != NULL ? next_named (n->children, name) : NULL;
}

xmlNodePtr
lv_next (const xmlNode *n)
{
  return next_named (n->next, (const char *) n->name);
}

uint32_t
lv_count (const xmlNode *n, const char *name)
{
  uint32_t count = 0;
  for (const xmlNode *c = lv_child (n, name); c != NULL; c = lv_next (c))
    count++;
  return count;
}

char *
lv_attr_of (const xmlNode *n, const char *name)
{
  return n != NULL ? (char *) xmlGetNoNsProp (n, (const xmlChar *) name) : NULL;
}

int
lv_attr_is (const xmlNode *n, const char *name, const char *value)
{
  HV_CLEAN (hv_free) char *a = lv_attr_of (n, name);
  return a != NULL && strcmp (a, value) == 0;
}

char *
lv_text_of (const xmlNode *n)
{
  return n != NULL ? (char *) xmlNodeGetContent (n) : NULL;
}

/* --- writing --- */

static xmlNodePtr
add (struct lv_writer *w, xmlNodePtr parent, const char *name, const char *text)
{
  xmlNodePtr n = NULL;
  if (w->doc == NULL)
    w->doc = xmlNewDoc ((const xmlChar *) "1.0");
  if (w->doc != NULL && parent == NULL) {
    n = xmlNewDocNode (w->doc, NULL, (const xmlChar *) name, NULL);
    if (n != NULL)
      (void) xmlDocSetRootElement (w->doc, n);
  } else if (w->doc != NULL)
    n = xmlNewTextChild (parent, NULL, (const xmlChar *) name, (const xmlChar *) text);
  w->failed |= n == NULL;
  return n;
}

xmlNodePtr
lv_element (struct lv_writer *w, xmlNodePtr parent, const char *name, ...)
{
  va_list ap;
  const char *key;
  if (w->failed)
    return NULL;
  xmlNodePtr n = add (w, parent, name, NULL);
  va_start (ap, name);
  while ((key = va_arg (ap, const char *)) != NULL) {
    const char *value = va_arg (ap, const char *);
    if (n != NULL && value != NULL)
      w->failed |= xmlNewProp (n, (const xmlChar *) key, (const xmlChar *) value) == NULL;
  }
  va_end (ap);
  return n;
}

xmlNodePtr
lv_element_text (struct lv_writer *w, xmlNodePtr parent, const char *name, const char *text)
{
  return w->failed ? NULL : add (w, parent, name, text);
}

void
lv_attr (struct lv_writer *w, xmlNodePtr n, const char *name, const char *fmt, ...)
{
  char value[128];
  va_list ap;
  if (w->failed)
    return;
  va_start (ap, fmt);
  (void) vsnprintf (value, sizeof value, fmt, ap);
  va_end (ap);
  w->failed |= xmlNewProp (n, (const xmlChar *) name, (const xmlChar *) value) == NULL;
}

int
lv_writer_end (struct lv_writer *w, char **ret_xml, struct hv_err *err)
{
  xmlChar *text = NULL;
  int size = 0;
  if (!w->failed)
    xmlDocDumpFormatMemoryEnc (w->doc, &text, &size, "UTF-8", 1);
  if (w->doc != NULL)
    xmlFreeDoc (w->doc);
  w->doc = NULL;
  if (text == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  *ret_xml = (char *) text; /* libxml2's memory is malloc's */
  return 0;
}
