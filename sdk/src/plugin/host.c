/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Conveniences that every plugin links: errno as an error, text in the memory of the current call. */
#include <errno.h>
#include <hvkit/plugin.h>
#include <stdio.h>
#include <string.h>

static const struct {
  int errnum, code;
} codes[] = {
  { EPERM, HV_E_PERMISSION_DENIED },
  { EACCES, HV_E_PERMISSION_DENIED },
  { EROFS, HV_E_PERMISSION_DENIED },
  { ENOENT, HV_E_NOT_FOUND },
  { ENXIO, HV_E_NOT_FOUND },
  { ENODEV, HV_E_NOT_FOUND },
  { ESRCH, HV_E_NOT_FOUND },
  { ENODATA, HV_E_NOT_FOUND },
  { EEXIST, HV_E_ALREADY_EXISTS },
  { EINVAL, HV_E_INVALID_ARGUMENT },
  { ENAMETOOLONG, HV_E_INVALID_ARGUMENT },
  { EILSEQ, HV_E_INVALID_ARGUMENT },
  { E2BIG, HV_E_INVALID_ARGUMENT },
  { ERANGE, HV_E_OUT_OF_RANGE },
  { EOVERFLOW, HV_E_OUT_OF_RANGE },
  { EFBIG, HV_E_OUT_OF_RANGE },
  { ENOMEM, HV_E_RESOURCE_EXHAUSTED },
  { ENOSPC, HV_E_RESOURCE_EXHAUSTED },
  { EDQUOT, HV_E_RESOURCE_EXHAUSTED },
  { EMFILE, HV_E_RESOURCE_EXHAUSTED },
  { ENFILE, HV_E_RESOURCE_EXHAUSTED },
  { ENOBUFS, HV_E_RESOURCE_EXHAUSTED },
  { EMLINK, HV_E_RESOURCE_EXHAUSTED },
  { EAGAIN, HV_E_UNAVAILABLE },
  { EINTR, HV_E_UNAVAILABLE },
  { ECONNREFUSED, HV_E_UNAVAILABLE },
  { ECONNRESET, HV_E_UNAVAILABLE },
  { ECONNABORTED, HV_E_UNAVAILABLE },
  { EPIPE, HV_E_UNAVAILABLE },
  { ENETDOWN, HV_E_UNAVAILABLE },
  { ENETUNREACH, HV_E_UNAVAILABLE },
  { EHOSTUNREACH, HV_E_UNAVAILABLE },
  { EHOSTDOWN, HV_E_UNAVAILABLE },
  { ENOTCONN, HV_E_UNAVAILABLE },
  { EIO, HV_E_UNAVAILABLE },
  { ETIMEDOUT, HV_E_DEADLINE_EXCEEDED },
  { ETIME, HV_E_DEADLINE_EXCEEDED },
  { EBUSY, HV_E_ABORTED },
  { EDEADLK, HV_E_ABORTED },
  { ETXTBSY, HV_E_ABORTED },
  { EISDIR, HV_E_FAILED_PRECONDITION },
  { ENOTDIR, HV_E_FAILED_PRECONDITION },
  { ENOTEMPTY, HV_E_FAILED_PRECONDITION },
  { ELOOP, HV_E_FAILED_PRECONDITION },
  { EXDEV, HV_E_FAILED_PRECONDITION },
  { ENOEXEC, HV_E_FAILED_PRECONDITION },
  { EADDRINUSE, HV_E_ALREADY_EXISTS },
  { EALREADY, HV_E_ABORTED },
  { ENOSYS, HV_E_UNIMPLEMENTED },
  { EOPNOTSUPP, HV_E_UNIMPLEMENTED },
  { ENOTTY, HV_E_UNIMPLEMENTED },
  { EPROTONOSUPPORT, HV_E_UNIMPLEMENTED },
  { EAFNOSUPPORT, HV_E_UNIMPLEMENTED },
  { ECANCELED, HV_E_CANCELLED },
  { EBADMSG, HV_E_DATA_LOSS },
  { EUCLEAN, HV_E_DATA_LOSS },
};

int
hv_err_from_errno (int errnum)
{
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
    if (codes[i].errnum == errnum)
      return codes[i].code;
  return HV_E_INTERNAL;
}

int
hv_err_sys (struct hv_err *e, int errnum, const char *fmt, ...)
{
  int code = hv_err_from_errno (errnum);
  if (e == NULL)
    return code;
  char buf[128];
  const char *reason = strerror_r (errnum, buf, sizeof buf);
  HV_CLEAN (hv_free) char *what = NULL;
  va_list ap;
  va_start (ap, fmt);
  int n = vasprintf (&what, fmt, ap);
  va_end (ap);
  if (n < 0)
    what = NULL;
  return what != NULL ? hv_err_set (e, code, "%s: %s", what, reason) : hv_err_set (e, code, "%s", reason);
}

char *
hv_strdup (struct hv_host *h, const char *s)
{
  size_t n = strlen (s) + 1;
  char *copy = hv_alloc (h, n);
  if (copy != NULL)
    memcpy (copy, s, n);
  return copy;
}

char *
hv_printf (struct hv_host *h, const char *fmt, ...)
{
  va_list ap, again;
  va_start (ap, fmt);
  va_copy (again, ap);
  int n = vsnprintf (NULL, 0, fmt, ap);
  va_end (ap);
  char *s = n >= 0 ? hv_alloc (h, (uint64_t) n + 1) : NULL;
  if (s != NULL)
    (void) vsnprintf (s, (size_t) n + 1, fmt, again);
  va_end (again);
  return s;
}
