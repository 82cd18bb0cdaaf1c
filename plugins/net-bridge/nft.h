/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nftables, in the namespace that the thread is in: for an offload, one at a time (the lock). */
#ifndef NB_NFT_H
#define NB_NFT_H
#include <hvkit/err.h>
#include <nftables/libnftables.h>
#include <stdio.h>

/* A set of commands in nft's language that is being written. */
struct nb_nft {
  FILE *out; /* NULL: no memory */
  char *text;
  size_t size;
  struct nft_ctx *ctx;
};
void nb_nft_begin (struct nb_nft *);
HV_PRINTF (2, 3) void nb_nft_add (struct nb_nft *, const char *fmt, ...); /* one command */
/* All of it or none of it. `what` says what it is, for errors. */
int nb_nft_commit (struct nb_nft *, const char *what, struct hv_err *);
/* In any case. It waits until the kernel has let go of what was deleted, 10 ms and more: best after other things that wait. */
void nb_nft_end (struct nb_nft *);
#endif
