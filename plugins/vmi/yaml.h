/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* YAML (and so JSON) manifests into msgpack, one value per document. Hostile text: everything has a limit, and what makes
 * YAML more than data (anchors, aliases, tags, merge keys) is refused with its line. Scalars are typed by YAML 1.2's core
 * schema. Pure functions, any thread. */
#ifndef VMI_YAML_H
#define VMI_YAML_H
#include <hvkit/err.h>
#include <hvkit/msg.h>

#define VMI_YAML_BYTES     (1u << 20)
#define VMI_YAML_DEPTH     30u /* so that a document still fits a message */
#define VMI_YAML_DOCUMENTS 64u
#define VMI_YAML_KEYS      256u /* of one map */

struct vmi_yaml_doc {
  struct hv_pack pack;
  uint32_t number; /* counted from 1 in the file, empty documents included */
  uint32_t line;   /* where it begins, from 1 */
};
struct vmi_yaml {
  struct vmi_yaml_doc docs[VMI_YAML_DOCUMENTS]; /* without the empty ones */
  uint32_t count;
};

/* INVALID_ARGUMENT, or RESOURCE_EXHAUSTED for a limit, with "line N: ..."; *ret is empty then. Free with vmi_yaml_clear. */
int vmi_yaml_read (const char *text, uint64_t size, struct vmi_yaml *ret, struct hv_err *);
void vmi_yaml_clear (struct vmi_yaml *);
__attribute__ ((unused)) static inline void
vmi_yaml_cleanup (struct vmi_yaml *y)
{
  vmi_yaml_clear (y);
}

/* The line of "spec.disks[2].bus" in document `number`, or of what encloses it if it is not there itself; 0: none. Reads the
 * text anew, so that nothing is kept for the many that need no error. */
uint32_t vmi_yaml_line (const char *text, uint64_t size, uint32_t number, const char *path);
#endif
