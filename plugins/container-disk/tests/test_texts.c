/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* References, challenges, manifests, credentials: what each text is taken for. */
#include "plugins/container-disk/challenge.h"
#include "plugins/container-disk/manifest.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* after those */
#include <cmocka.h>

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void
test_references (void **state)
{
  static const struct {
    const char *text, *host, *name, *tag, *digest;
  } good[] = {
    { "r.example/a", "r.example", "a", "latest", "" },
    { "localhost/a/b-c__d.e:v1.2_3-x", "localhost", "a/b-c__d.e", "v1.2_3-x", "" },
    { "127.0.0.1:5000/vms/tiny:v1", "127.0.0.1:5000", "vms/tiny", "v1", "" },
    { "[::1]:5000/a@sha256:" HEX64, "[::1]:5000", "a", "", "sha256:" HEX64 },
    { "r.example/a:v1@sha256:" HEX64, "r.example", "a", "v1", "sha256:" HEX64 },
    { "vms/tiny", "default.example:1", "vms/tiny", "latest", "" },
  };
  static const char *const bad[] = { "",
                                     "/a",
                                     "r.example/",
                                     "r.example/A",
                                     "r.example/a:",
                                     "r.example/a:-x",
                                     "r.example/a//b",
                                     "r.example/a/",
                                     "r.example/-a",
                                     "r.example/a-",
                                     "r.example/a b",
                                     "r.example/../a",
                                     "r.example:0/a",
                                     "r.example:70000/a",
                                     "r.example:x/a",
                                     "r.example/a@sha256:12",
                                     "r.example/a@md5:" HEX64,
                                     "r.example/a@sha256:" HEX64 "0",
                                     "-r.example/a",
                                     "[::1/a",
                                     "r_x.example/a",
                                     "ftp://x/a",
                                     "http://",
                                     "http://u:p@x/a",
                                     "https://x y/",
                                     "file://a",
                                     "http://x\n/" };
  struct cd_ref r;
  (void) state;
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    assert_int_equal (cd_ref_parse (good[i].text, "default.example:1", &r, NULL), 0);
    assert_int_equal (r.kind, CD_REF_REGISTRY);
    assert_string_equal (r.host, good[i].host);
    assert_string_equal (r.name, good[i].name);
    assert_string_equal (r.tag, good[i].tag);
    assert_string_equal (r.digest, good[i].digest);
  }
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    if (cd_ref_parse (bad[i], "default.example", &r, NULL) != HV_E_INVALID_ARGUMENT)
      fail_msg ("'%s' is taken for a reference", bad[i]);
  assert_int_equal (cd_ref_parse ("tiny", NULL, &r, NULL), HV_E_INVALID_ARGUMENT);
  assert_int_equal (cd_ref_parse ("https://x.example:8443/a.img", NULL, &r, NULL), 0);
  assert_string_equal (r.host, "x.example:8443");
  assert_int_equal (cd_ref_parse ("file:///a.img", NULL, &r, NULL), 0);
  assert_int_equal (r.kind, CD_REF_FILE);
}

static void
test_loopback (void **state)
{
  (void) state;
  assert_true (cd_is_loopback ("127.0.0.1:5000") && cd_is_loopback ("127.255.1.2") && cd_is_loopback ("[::1]:1")
               && cd_is_loopback ("localhost"));
  assert_false (cd_is_loopback ("127.0.0.1.example:1") || cd_is_loopback ("128.0.0.1") || cd_is_loopback ("[::2]")
                || cd_is_loopback ("localhost.example"));
}

static void
test_challenges (void **state)
{
  struct cd_challenge c[CD_CHALLENGES];
  (void) state;
  assert_int_equal (
      cd_challenge_parse ("Bearer realm=\"https://a/token\",service=\"r \\\"x\\\"\", scope=\"repository:a:pull,push\"", c), 1);
  assert_int_equal (c[0].scheme, CD_AUTH_BEARER);
  assert_string_equal (c[0].realm, "https://a/token");
  assert_string_equal (c[0].service, "r \"x\"");
  assert_string_equal (c[0].scope, "repository:a:pull,push");
  assert_int_equal (cd_challenge_parse ("Negotiate, basic realm=x , BEARER Realm = \"y\",error=\"invalid_token\"", c), 3);
  assert_int_equal (c[0].scheme, CD_AUTH_OTHER);
  assert_int_equal (c[1].scheme, CD_AUTH_BASIC);
  assert_string_equal (c[1].realm, "x");
  assert_string_equal (c[2].realm, "y");
  assert_int_equal (cd_challenge_parse ("", c), 0);
  static const char *const bad[] = { "realm=\"x\"", "Bearer realm=\"x", "Bearer realm=\"a\nb\"", "Bearer realm=\"a\",realm=\"b\"",
                                     "\"x\"",       "Bearer realm=\"\\" };
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    if (cd_challenge_parse (bad[i], c) != -1)
      fail_msg ("'%s' is taken for a challenge", bad[i]);
  char longer[3000] = "Bearer realm=\"";
  memset (longer + 14, 'x', 2000);
  longer[2014] = (char) 34;
  assert_int_equal (cd_challenge_parse (longer, c), -1);
}

static int
find (const char *json, const char *host, struct cd_credentials *ret)
{
  return cd_credentials_find (json, strlen (json), host, ret, NULL);
}

static void
test_credentials (void **state)
{
  struct cd_credentials c;
  (void) state;
  assert_int_equal (find ("{\"auths\":{\"https://r.example/v1/\":{\"auth\":\"YWxpY2U6czNjOnJldA==\"},\"x\":{}}}", "r.example", &c),
                    0);
  assert_string_equal (c.user, "alice");
  assert_string_equal (c.password, "s3c:ret");
  cd_credentials_clear (&c);
  assert_int_equal (find ("{\"auths\":{\"r.example\":{\"username\":\"a\",\"password\":\"b\"}}}", "r.example", &c), 0);
  assert_string_equal (c.password, "b");
  cd_credentials_clear (&c);
  assert_int_equal (find ("{\"auths\":{\"r.example:5000\":{\"auth\":\"YTpi\"}}}", "r.example", &c), 0);
  assert_null (c.user);
  assert_int_equal (find ("{\"auths\":{\"r\":{\"auth\":\"YWI=\"}}}", "r", &c), HV_E_INVALID_ARGUMENT);
  assert_int_equal (find ("[]", "r", &c), HV_E_INVALID_ARGUMENT);
  assert_int_equal (find ("{\"credHelpers\":{\"r\":\"pass\"}}", "r", &c), HV_E_UNIMPLEMENTED);
}

static void
test_tokens (void **state)
{
  static const struct {
    const char *json, *token;
  } cases[] = { { "{\"token\":\"a\"}", "a" },
                { "{\"access_token\":\"b\"}", "b" },
                { "{}", NULL },
                { "x", NULL },
                { "{\"token\":\"a\\r\\nX: y\"}", NULL } };
  (void) state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char *token = cd_token_read (cases[i].json, strlen (cases[i].json));
    if (cases[i].token == NULL)
      assert_null (token);
    else
      assert_string_equal (token, cases[i].token);
    free (token);
  }
}

static void
test_platforms (void **state)
{
#define ENTRY(digit, os, arch, more) \
  "{\"digest\":\"sha256:" digit HEX64_REST "\",\"size\":9,\"platform\":{\"os\":\"" os "\",\"architecture\":\"" arch "\"" more "}}"
#define HEX64_REST "123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  static const char json[] = "{\"manifests\":[" ENTRY ("1", "linux", "arm", ",\"variant\":\"v6\"") "," ENTRY (
      "2", "linux", "arm", ",\"variant\":\"v7\"") "," ENTRY ("3", "linux", "arm64", "") "," ENTRY ("4", "windows", "amd64",
                                                                                                   "") "]}";
  static const struct {
    const char *platform, *digit;
  } cases[] = { { "linux/arm", "1" },     { "linux/arm/v7", "2" }, { "linux/arm64", "3" },
                { "windows/amd64", "4" }, { "linux/amd64", NULL }, { "linux", NULL } };
  struct cd_manifest *m = malloc (sizeof *m);
  (void) state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    int r = cd_manifest_read (json, strlen (json), cases[i].platform, m, NULL);
    assert_int_equal (r, cases[i].digit != NULL ? 0 : HV_E_NOT_FOUND);
    if (r == 0)
      assert_int_equal (m->items[0].digest[7], cases[i].digit[0]);
  }
  free (m);
}

int
main (void)
{
  const struct CMUnitTest tests[]
      = { cmocka_unit_test (test_references),  cmocka_unit_test (test_loopback), cmocka_unit_test (test_challenges),
          cmocka_unit_test (test_credentials), cmocka_unit_test (test_tokens),   cmocka_unit_test (test_platforms) };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
