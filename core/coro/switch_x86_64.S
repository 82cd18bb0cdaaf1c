/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Context of a stack that is left, from its saved rsp upwards: mxcsr and x87 control word, r15 r14 r13 r12 rbx rbp, return
 * address. The property note claims indirect-branch tracking but no shadow stack: a switch changes the stack under `ret`, so
 * the linker must not mark the program as fit for one. */
#if defined(__x86_64__) && !defined(HV_CORO_UCONTEXT)
  .text
  .p2align 4
  .globl hv_switch_to
  .hidden hv_switch_to
  .type hv_switch_to, @function
hv_switch_to:
  .cfi_startproc
  endbr64
  pushq %rbp
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset %rbp, 0
  pushq %rbx
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset %rbx, 0
  pushq %r12
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset %r12, 0
  pushq %r13
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset %r13, 0
  pushq %r14
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset %r14, 0
  pushq %r15
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset %r15, 0
  subq $8, %rsp
  .cfi_adjust_cfa_offset 8
  stmxcsr (%rsp)
  fnstcw 4(%rsp)
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  ldmxcsr (%rsp)
  fldcw 4(%rsp)
  addq $8, %rsp
  .cfi_adjust_cfa_offset -8
  popq %r15
  .cfi_adjust_cfa_offset -8
  .cfi_restore %r15
  popq %r14
  .cfi_adjust_cfa_offset -8
  .cfi_restore %r14
  popq %r13
  .cfi_adjust_cfa_offset -8
  .cfi_restore %r13
  popq %r12
  .cfi_adjust_cfa_offset -8
  .cfi_restore %r12
  popq %rbx
  .cfi_adjust_cfa_offset -8
  .cfi_restore %rbx
  popq %rbp
  .cfi_adjust_cfa_offset -8
  .cfi_restore %rbp
  ret
  .cfi_endproc
  .size hv_switch_to, . - hv_switch_to

/* First code on a new stack: r12 = entry, rbx = its argument. Unwinders stop here: there is no caller. */
  .p2align 4
  .globl hv_switch_start
  .hidden hv_switch_start
  .type hv_switch_start, @function
hv_switch_start:
  .cfi_startproc
  .cfi_undefined %rip
  endbr64
  xorl %ebp, %ebp
  movq %rbx, %rdi
  callq *%r12
  ud2
  .cfi_endproc
  .size hv_switch_start, . - hv_switch_start

  .section .note.gnu.property, "a"
  .p2align 3
  .long 4, 16, 5
  .asciz "GNU"
  .long 0xc0000002, 4, 1, 0
#endif
  .section .note.GNU-stack, "", %progbits
