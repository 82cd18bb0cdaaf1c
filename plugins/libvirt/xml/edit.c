/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changes to a domain as libvirt has it. */
#include "build.h"
#include "tree.h"
#include <inttypes.h>
#include <libxml/parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACEHOLDER "ua-placeholder-"

/* --- the second definition --- */

static int
is_placeholder (xmlNodePtr n)
{
  xmlNodePtr alias = lv_child (n, "alias");
  xmlChar *name = alias != NULL ? xmlGetNoNsProp (alias, (const xmlChar *) "name") : NULL;
  int is = name != NULL && strncmp ((const char *) name, PLACEHOLDER, strlen (PLACEHOLDER)) == 0;
  xmlFree (name);
  return is;
}

int
lv_xml_drop_placeholders (const char *xml, char **ret_xml, struct hv_err *err)
{
  struct lv_writer w = { .doc = lv_xml_parse (xml, err) };
  if (w.doc == NULL)
    return HV_E_INVALID_ARGUMENT;
  xmlNodePtr devices = lv_child (xmlDocGetRootElement (w.doc), "devices");
  for (xmlNodePtr n = devices != NULL ? devices->children : NULL, next; n != NULL; n = next) {
    next = n->next;
    if (n->type == XML_ELEMENT_NODE && strcmp ((const char *) n->name, "interface") == 0 && is_placeholder (n)) {
      xmlUnlinkNode (n);
      xmlFreeNode (n);
    }
  }
  return lv_writer_end (&w, ret_xml, err);
}

/* --- processors --- */

static uint32_t
attr_number (xmlNodePtr n, const char *name, uint32_t otherwise)
{
  xmlChar *text = n != NULL ? xmlGetNoNsProp (n, (const xmlChar *) name) : NULL;
  unsigned long value = text != NULL ? strtoul ((const char *) text, NULL, 10) : otherwise;
  xmlFree (text);
  return value > 0 && value <= UINT16_MAX ? (uint32_t) value : otherwise;
}

static void
set_number (struct lv_writer *w, xmlNodePtr n, const char *name, uint32_t value)
{
  char text[16];
  (void) snprintf (text, sizeof text, "%" PRIu32, value);
  w->failed |= xmlSetProp (n, (const xmlChar *) name, (const xmlChar *) text) == NULL;
}

int
lv_xml_set_vcpus (const char *xml, uint32_t vcpus, char **ret_xml, struct hv_err *err)
{
  struct lv_writer w = { .doc = lv_xml_parse (xml, err) };
  if (w.doc == NULL)
    return HV_E_INVALID_ARGUMENT;
  xmlNodePtr root = xmlDocGetRootElement (w.doc), vcpu = lv_child (root, "vcpu"),
             topology = lv_child (lv_child (root, "cpu"), "topology");
  xmlChar *was = vcpu != NULL ? xmlNodeGetContent (vcpu) : NULL;
  uint32_t most = was != NULL ? (uint32_t) strtoul ((const char *) was, NULL, 10) : 1;
  uint64_t per_socket = (uint64_t) attr_number (topology, "dies", 1) * attr_number (topology, "cores", 1)
                        * attr_number (topology, "threads", 1); /* of 16 bits each: never too large, never 0 */
  char text[16];
  xmlFree (was);
  if (vcpu == NULL || vcpus == 0 || vcpus % per_socket != 0) {
    xmlFreeDoc (w.doc);
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "%" PRIu32 " processors: a multiple of %" PRIu64 " is needed", vcpus,
                       per_socket);
  }
  if (vcpus >= most) { /* no room is left for more */
    (void) snprintf (text, sizeof text, "%" PRIu32, vcpus);
    xmlNodeSetContent (vcpu, (const xmlChar *) text);
    (void) xmlUnsetProp (vcpu, (const xmlChar *) "current");
    if (topology != NULL)
      set_number (&w, topology, "sockets", (uint32_t) (vcpus / per_socket));
  } else
    set_number (&w, vcpu, "current", vcpus);
  xmlNodePtr each = lv_child (root, "vcpus"); /* libvirt's own list of them, made anew from the number */
  if (each != NULL) {
    xmlUnlinkNode (each);
    xmlFreeNode (each);
  }
  return lv_writer_end (&w, ret_xml, err);
}

/* --- another node --- */

static void
move_value (struct lv_writer *w, xmlAttrPtr a, const char *dir, const char *to)
{
  xmlChar *value = xmlNodeListGetString (w->doc, a->children, 1);
  size_t n = strlen (dir);
  char *moved = NULL;
  if (value != NULL && strncmp ((const char *) value, dir, n) == 0 && value[n] == '/') {
    if (asprintf (&moved, "%s%s", to, (const char *) value + n) < 0)
      moved = NULL;
    w->failed |= moved == NULL || xmlSetProp (a->parent, a->name, (const xmlChar *) moved) == NULL;
  }
  xmlFree (value);
  free (moved);
}

static void
move_below (struct lv_writer *w, xmlNodePtr n, const char *dir, const char *to)
{
  for (xmlNodePtr c = n; c != NULL; c = c->next) {
    for (xmlAttrPtr a = c->type == XML_ELEMENT_NODE ? c->properties : NULL; a != NULL; a = a->next)
      move_value (w, a, dir, to);
    move_below (w, c->children, dir, to); /* no deeper than the parser allowed */
  }
}

int
lv_xml_move (const char *xml, const char *dir, const char *to, char **ret_xml, struct hv_err *err)
{
  struct lv_writer w = { .doc = lv_xml_parse (xml, err) };
  if (w.doc == NULL)
    return HV_E_INVALID_ARGUMENT;
  move_below (&w, xmlDocGetRootElement (w.doc), dir, to);
  return lv_writer_end (&w, ret_xml, err);
}
