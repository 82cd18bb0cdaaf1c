/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nft.h"
#include <errno.h>
#include <hvkit/clean.h>
#include <linux/netlink.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

void
nb_nft_begin (struct nb_nft *n)
{
  n->text = NULL;
  n->size = 0;
  n->ctx = NULL;
  n->out = open_memstream (&n->text, &n->size);
}

void
nb_nft_add (struct nb_nft *n, const char *fmt, ...)
{
  va_list ap;
  if (n->out == NULL)
    return;
  va_start (ap, fmt);
  (void) vfprintf (n->out, fmt, ap);
  va_end (ap);
  (void) fputc ('\n', n->out);
}

/* libnftables ends the process where it cannot have such a socket. */
static int
has_nftables (struct hv_err *err)
{
  HV_CLEAN (hv_fd) int fd = socket (AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
  return fd >= 0 ? 0 : hv_err_sys (err, errno, "nftables of the kernel");
}

static int
run (struct nb_nft *n, const char *what, struct hv_err *err)
{
  n->ctx = nft_ctx_new (NFT_CTX_DEFAULT);
  if (n->ctx == NULL || nft_ctx_buffer_error (n->ctx) != 0 || nft_ctx_buffer_output (n->ctx) != 0)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  if (nft_run_cmd_from_buffer (n->ctx, n->text) == 0)
    return 0;
  const char *said = nft_ctx_get_error_buffer (n->ctx);
  return hv_err_set (err, HV_E_INTERNAL, "%s: nftables: %.*s", what, (int) strcspn (said, "\n"), said);
}

int
nb_nft_commit (struct nb_nft *n, const char *what, struct hv_err *err)
{
  int whole = n->out != NULL && !ferror (n->out) && fclose (n->out) == 0;
  n->out = NULL;
  int r = whole ? has_nftables (err) : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  return r < 0 ? r : run (n, what, err);
}

void
nb_nft_end (struct nb_nft *n)
{
  if (n->out != NULL)
    (void) fclose (n->out);
  if (n->ctx != NULL)
    nft_ctx_free (n->ctx);
  free (n->text);
}
