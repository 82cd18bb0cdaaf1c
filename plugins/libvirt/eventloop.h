/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libvirt's event loop (virEventRegisterImpl) on libev. libvirt has one per process, so this is one thread per process, shared
 * by all instances; it runs libvirt's own callbacks and nothing else, and these only copy what they are told (note.c). */
#ifndef LV_EVENTLOOP_H
#define LV_EVENTLOOP_H
#include <hvkit/plugin.h>

/* The loop runs from the first call until as many lv_eventloop_leave. [any thread] RESOURCE_EXHAUSTED, INTERNAL. */
int lv_eventloop_enter (struct hv_err *);
void lv_eventloop_leave (void);
#endif
