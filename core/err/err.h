/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* core/err: the core's implementation of struct hv_err (see <hvkit/err.h> for the idiom). */
#ifndef HV_CORE_ERR_H
#define HV_CORE_ERR_H
#include <hvkit/plugin.h>

/* A new, unset error; NULL only when out of memory (every user of an hv_err accepts NULL). Free with hv_err_free. */
struct hv_err *hv_error_new (void);

/* Number of data entries, and entry i (borrowed). For encoding on the wire. */
uint32_t hv_error_data_count (const struct hv_err *);
void hv_error_data_at (const struct hv_err *, uint32_t i, const char **ret_key, const char **ret_value);

/* A copy that may go to another thread. NULL for NULL. */
struct hv_err *hv_error_dup (const struct hv_err *);
#endif
