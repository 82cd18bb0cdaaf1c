/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* core/log: key=value lines on standard error, journald-friendly ("<6>" prefix when the parent is systemd), with a
 * level per category that can change while running. Any thread; one line is one write(2). */
#ifndef HV_CORE_LOG_H
#define HV_CORE_LOG_H
#include <hvkit/plugin.h>

/* Levels are syslog's HV_LOG_*. `spec` is "info" or "info,bus=debug,qmp=warning"; unknown words are INVALID_ARGUMENT. */
int hv_log_configure (const char *spec, struct hv_err *);
/* Whether a line of this category and level would be written. Cheap. */
int hv_log_enabled (const char *category, int level);
/* level=info cat=bus msg="…". The text is escaped: no control characters, no newline, no terminal sequence leave here. */
HV_PRINTF (3, 4) void hv_log_line (const char *category, int level, const char *fmt, ...);
HV_PRINTF (3, 0) void hv_log_linev (const char *category, int level, const char *fmt, va_list);
#endif
