/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unpack.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define OUT_BYTES  (256u << 10)
#define WINDOW_LOG 27 /* memory that a zstd frame may ask for: 128 MiB */

/* A bomb: more data, holes not counted, than any disk compresses to. */
#define BOMB_BYTES (64u << 20)
#define BOMB_RATIO 200u

struct cd_unpack {
  uint32_t codec;
  struct cd_pick *pick;
  struct cd_sink *sink;
  const char *digest;
  EVP_MD_CTX *md;
  const char *algorithm;
  z_stream gzip;
  ZSTD_DCtx *zstd;
  int gzip_ready, frame_open; /* frame_open: compressed data has begun and not ended */
  struct cd_tar *tar;
  uint8_t *out;
  uint64_t in_bytes, out_bytes; /* since the blob's begin */
  uint64_t window_in, window_data;
};

/* --- what comes out --- */

static int
on_entry (void *arg, const struct cd_tar_entry *e, struct hv_err *err)
{
  return cd_pick_entry (((struct cd_unpack *) arg)->pick, e, err);
}

static int
on_data (void *arg, const uint8_t *bytes, uint64_t n, struct hv_err *err)
{
  return cd_sink_write (((struct cd_unpack *) arg)->sink, bytes, n, err);
}

static const struct cd_tar_ops ops = { .entry = on_entry, .data = on_data };

/* Data that is thrown away is as good for a bomb as data that is kept, and its zeros cost no space. */
static int
check_ratio (struct cd_unpack *u, const uint8_t *bytes, uint64_t n, struct hv_err *err)
{
  static const uint8_t zeros[4096];
  for (uint64_t at = 0; at < n; at += sizeof zeros) {
    uint64_t some = n - at < sizeof zeros ? n - at : sizeof zeros;
    if (memcmp (bytes + at, zeros, some) != 0)
      u->window_data += some;
  }
  if (u->window_data < BOMB_BYTES)
    return 0;
  if (u->window_data / BOMB_RATIO > u->in_bytes - u->window_in)
    return hv_err_set (
        err, HV_E_FAILED_PRECONDITION,
        "it unpacks to more than %u times its size, and not to zeros: that is no disk, and it is not unpacked any further",
        BOMB_RATIO);
  u->window_in = u->in_bytes;
  u->window_data = 0;
  return 0;
}

static int
emit (struct cd_unpack *u, const uint8_t *bytes, uint64_t n, struct hv_err *err)
{
  int r = u->codec != CD_CODEC_PLAIN ? check_ratio (u, bytes, n, err) : 0;
  u->out_bytes += n;
  if (r < 0 || n == 0)
    return r;
  return u->tar != NULL ? cd_tar_push (u->tar, bytes, n, err) : cd_sink_write (u->sink, bytes, n, err);
}

/* --- what goes in --- */

static int
damaged (struct hv_err *err, const char *what)
{
  return hv_err_set (err, HV_E_DATA_LOSS, "its compressed data is damaged: %s", what);
}

static int
push_gzip (struct cd_unpack *u, const uint8_t *bytes, uint64_t n, struct hv_err *err)
{
  u->gzip.next_in = (Bytef *) (uintptr_t) bytes;
  u->gzip.avail_in = (uInt) n;
  while (u->gzip.avail_in > 0) {
    u->gzip.next_out = u->out;
    u->gzip.avail_out = OUT_BYTES;
    u->frame_open = 1;
    int z = inflate (&u->gzip, Z_NO_FLUSH);
    if (z != Z_OK && z != Z_STREAM_END && z != Z_BUF_ERROR)
      return damaged (err, u->gzip.msg != NULL ? u->gzip.msg : "gzip");
    int r = emit (u, u->out, OUT_BYTES - u->gzip.avail_out, err);
    if (r < 0)
      return r;
    if (z == Z_STREAM_END) { /* there may be another member */
      u->frame_open = 0;
      (void) inflateReset (&u->gzip);
    }
  }
  return 0;
}

static int
push_zstd (struct cd_unpack *u, const uint8_t *bytes, uint64_t n, struct hv_err *err)
{
  ZSTD_inBuffer in = { bytes, n, 0 };
  for (int full = 0; in.pos < in.size || full;) {
    ZSTD_outBuffer out = { u->out, OUT_BYTES, 0 };
    size_t left = ZSTD_decompressStream (u->zstd, &out, &in);
    if (ZSTD_isError (left))
      return damaged (err, ZSTD_getErrorName (left));
    u->frame_open = left != 0;
    int r = emit (u, u->out, out.pos, err);
    if (r < 0)
      return r;
    full = out.pos == out.size; /* there may be more of it inside */
  }
  return 0;
}

static uint32_t
guess_codec (const uint8_t *bytes, uint64_t n)
{
  if (n >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b)
    return CD_CODEC_GZIP;
  return n >= 4 && memcmp (bytes, "\x28\xb5\x2f\xfd", 4) == 0 ? CD_CODEC_ZSTD : CD_CODEC_PLAIN;
}

static int
open_codec (struct cd_unpack *u, struct hv_err *err)
{
  int ok = 1;
  if (u->codec == CD_CODEC_GZIP)
    ok = u->gzip_ready = inflateInit2 (&u->gzip, 15 + 16) == Z_OK;
  if (u->codec == CD_CODEC_ZSTD)
    ok = (u->zstd = ZSTD_createDCtx ()) != NULL
         && !ZSTD_isError (ZSTD_DCtx_setParameter (u->zstd, ZSTD_d_windowLogMax, WINDOW_LOG));
  return ok ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

int
cd_unpack_push (struct cd_unpack *u, const uint8_t *bytes, uint64_t n, struct hv_err *err)
{
  int r = 0;
  if (u->codec == CD_CODEC_GUESS && n > 0) {
    u->codec = guess_codec (bytes, n);
    r = open_codec (u, err);
  }
  if (r == 0 && EVP_DigestUpdate (u->md, bytes, n) != 1)
    r = hv_err_set (err, HV_E_INTERNAL, "the digest cannot be computed");
  u->in_bytes += n;
  if (r < 0)
    return r;
  return u->codec == CD_CODEC_GZIP   ? push_gzip (u, bytes, n, err)
         : u->codec == CD_CODEC_ZSTD ? push_zstd (u, bytes, n, err)
                                     : emit (u, bytes, n, err);
}

/* --- beginning and end --- */

struct cd_unpack *
cd_unpack_new (uint32_t codec, struct cd_pick *pick, struct cd_sink *sink, const char *digest, struct hv_err *err)
{
  struct cd_unpack *u = calloc (1, sizeof *u);
  int ok = u != NULL;
  if (ok) {
    *u = (struct cd_unpack){ .codec = codec, .pick = pick, .sink = sink, .digest = digest };
    u->algorithm = digest != NULL && strncmp (digest, "sha512:", 7) == 0 ? "sha512" : "sha256";
    u->md = EVP_MD_CTX_new ();
    u->out = malloc (OUT_BYTES);
    u->tar = pick != NULL ? cd_tar_new (&ops, u) : NULL;
    ok = u->md != NULL && u->out != NULL && (pick == NULL || u->tar != NULL)
         && EVP_DigestInit_ex (u->md, strcmp (u->algorithm, "sha512") == 0 ? EVP_sha512 () : EVP_sha256 (), NULL) == 1;
  }
  if (ok && open_codec (u, err) == 0)
    return u;
  cd_unpack_free (u);
  (void) hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  return NULL;
}

void
cd_unpack_free (struct cd_unpack *u)
{
  if (u == NULL)
    return;
  if (u->gzip_ready)
    (void) inflateEnd (&u->gzip);
  (void) ZSTD_freeDCtx (u->zstd);
  EVP_MD_CTX_free (u->md);
  cd_tar_free (u->tar);
  free (u->out);
  free (u);
}

int
cd_unpack_end (struct cd_unpack *u, char ret_digest[CD_DIGEST_MAX], struct hv_err *err)
{
  uint8_t sum[EVP_MAX_MD_SIZE];
  unsigned n = 0;
  char text[CD_DIGEST_MAX];
  if (EVP_DigestFinal_ex (u->md, sum, &n) != 1)
    return hv_err_set (err, HV_E_INTERNAL, "the digest cannot be computed");
  int at = snprintf (text, sizeof text, "%s:", u->algorithm);
  for (unsigned i = 0; i < n; i++)
    at += snprintf (text + at, sizeof text - (size_t) at, "%02x", sum[i]);
  if (u->digest != NULL && strcmp (text, u->digest) != 0)
    return hv_err_set (err, HV_E_DATA_LOSS,
                       "what came has digest %s, and should have %s: it was changed on its way, or the source is broken", text,
                       u->digest);
  if (ret_digest != NULL)
    memcpy (ret_digest, text, sizeof text);
  if (u->frame_open)
    return damaged (err, "it ends too early");
  return u->tar != NULL ? cd_tar_end (u->tar, err) : 0;
}
