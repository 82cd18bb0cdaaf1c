/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events in (what backends say) and out (what became of objects). */
#include "view.h"
#include <stdio.h>
#include <string.h>

HV_RECORD_TABLE (vmi_object_event, VMI_OBJECT_EVENT, "an object came, changed or went");
HV_RECORD_TABLE (vmi_note_event, VMI_NOTE_EVENT, "something happened to an object");

/* --- out --- */

static void
publish_note (struct vmi_vm *v, const struct vmi_note *n)
{
  struct vmi_note_event e = { 0 };
  HV_SET (&e, kind, vmi_kind_words[v->kind]);
  HV_SET (&e, namespace, v->namespace_);
  HV_SET (&e, name, v->name);
  HV_SET (&e, type, n->warning ? "Warning" : "Normal");
  HV_SET (&e, reason, n->reason);
  HV_SET (&e, message, n->message);
  (void) hv_publish (v->vmi->host, "event", &e, NULL);
}

void
vmi_note (struct vmi_vm *v, int warning, const char *reason, const char *fmt, ...)
{
  char text[1024];
  va_list ap;
  va_start (ap, fmt);
  (void) vsnprintf (text, sizeof text, fmt, ap);
  va_end (ap);
  struct vmi_note *n = v->note_count > 0 ? &v->notes[v->note_count - 1] : NULL;
  if (n == NULL || n->message == NULL || strcmp (n->message, text) != 0) {
    if (v->note_count == VMI_EVENTS) {
      free (v->notes[0].message);
      memmove (&v->notes[0], &v->notes[1], (VMI_EVENTS - 1) * sizeof *v->notes);
      v->note_count--;
    }
    n = &v->notes[v->note_count++];
    *n = (struct vmi_note){ .reason = reason, .message = strdup (text), .warning = (uint8_t) warning };
  }
  n->time_ms = vmi_wall_ms ();
  n->count++;
  hv_log (v->vmi->host, warning ? HV_LOG_WARNING : HV_LOG_INFO, "%s '%s/%s': %s: %s", vmi_kind_words[v->kind], v->namespace_,
          v->name, reason, text);
  if (n->message != NULL)
    publish_note (v, n);
}

void
vmi_publish (struct vmi_vm *v, const char *type)
{
  struct vmi_object_event e = { 0 };
  HV_SET (&e, type, type);
  HV_SET (&e, kind, vmi_kind_words[v->kind]);
  HV_SET (&e, namespace, v->namespace_);
  HV_SET (&e, name, v->name);
  if (v->uid[0] != '\0')
    HV_SET (&e, uid, v->uid);
  if (v->run.exists)
    HV_SET (&e, phase, vmi_phase_words[v->run.phase]);
  HV_SET (&e, printableStatus, vmi_printable_status (v));
  HV_SET (&e, ready, v->conditions[VMI_READY].status == 2);
  HV_SET (&e, agentConnected, v->conditions[VMI_AGENT_CONNECTED].status == 2);
  HV_SET (&e, generation, v->generation);
  (void) hv_publish (v->vmi->host, "object", &e, NULL);
}

/* --- in --- */

/* An event tells only that there is something to look at; what is true is asked for. */
#define VMI_NAMED(F, T) F (T, STR, _, vm, HV_REQUIRED, "domain name")
HV_RECORD_STRUCT (vmi_named, VMI_NAMED);
HV_RECORD_TABLE (vmi_named, VMI_NAMED, "an event about a VM");

static int
is_of (const struct vmi_vm *v, const char *topic)
{
  size_t n = v->backend != NULL ? strlen (v->backend) : 0;
  return n > 0 && strncmp (topic, v->backend, n) == 0 && topic[n] == '.';
}

static void
on_event (void *self, void *arg, const struct hv_event_info *e)
{
  struct vmi *vmi = arg;
  struct vmi_named named = { 0 };
  (void) self;
  if (strcmp (e->topic, "bus.gap") == 0) {
    for (uint32_t i = 0; i < vmi->vm_count; i++)
      vmi_reconcile (vmi->vms[i]);
    return;
  }
  if (vmi->host->api->decode (vmi->host, &vmi_named_record, e->data, HV_DECODE_OPEN, &named, NULL) < 0)
    return;
  struct vmi_vm *v = vmi_vm_of_domain (vmi, named.vm);
  if (v != NULL && is_of (v, e->topic))
    vmi_reconcile (v);
}

static void
on_guest (void *self, void *arg, const struct hv_event_info *e)
{
  struct vmi *vmi = arg;
  struct hv_agent_changed c = { 0 };
  (void) self;
  if (vmi->host->api->decode (vmi->host, &hv_agent_changed_record, e->data, HV_DECODE_OPEN, &c, NULL) < 0)
    return;
  struct vmi_vm *v = vmi_vm_of_domain (vmi, c.vm);
  if (v == NULL || v->backend == NULL || strcmp (v->backend, c.backend) != 0)
    return;
  if (strcmp (hv_agent_reading_words[c.what], "users") == 0 || strcmp (hv_agent_reading_words[c.what], "filesystems") == 0)
    return; /* nothing of it is shown with the instance */
  v->agent_news = 1;
  vmi_agent_follow (v);
}

void
vmi_subscribe (struct vmi *vmi)
{
  struct hv_host *h = vmi->host;
  (void) h->api->subscribe (h, "*.lifecycle", on_event, vmi);
  (void) h->api->subscribe (h, "*.agent", on_event, vmi);
  (void) h->api->subscribe (h, "guest-agent.changed", on_guest, vmi);
}
