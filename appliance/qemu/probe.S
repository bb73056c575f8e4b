# The accelerator probe's boot sector (see probe.ts): what a kernel's first moments need. It turns on paging and
# long mode, goes to ring 3 by sysret, counts two timer interrupts there, comes back by syscall, prints a line
# on the first serial port and ends QEMU by isa-debug-exit.
#   as --64 -o probe.o probe.S && ld -Ttext=0x7c00 --oformat=binary -o probe.bin probe.o
	.code16
	.globl _start
_start:
	cli
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $0x7c00, %sp
# page tables at 0x1000: PML4, PDPT, PD (2 MiB pages, user-accessible)
	movw $0x1000, %di
	movw $0x1800, %cx
	cld
	rep stosw
	movw $0x2007, 0x1000
	movw $0x3007, 0x2000
	movw $0x0087, 0x3000
	lgdt gdtr
	movl %cr4, %eax
	orl $0x20, %eax
	movl %eax, %cr4
	movl $0x1000, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx
	rdmsr
	orl $0x101, %eax
	wrmsr
	movl %cr0, %eax
	orl $0x80000001, %eax
	movl %eax, %cr0
	ljmpl $0x08, $long
	.code64
long:
	movw $0x10, %ax
	movw %ax, %ds
	movw %ax, %ss
	movl $0x7c00, %esp
# IDT with one gate: the timer on vector 0x20; and a TSS for the stack on entry from ring 3
	movl $0x6000, %edi
	movl $0x7000, 4(%rdi)
	movw $0x28, %ax
	ltr %ax
	movl $0x5200, %edi
	movl $tick, %eax
	movl $0x00080000, %edx
	movw %ax, %dx
	movl %edx, (%rdi)
	movl $0x00008e00, 4(%rdi)
	lidt idtr
# PIC: only IRQ 0, at vector 0x20; the PIT runs at its BIOS rate of 18.2 Hz
	movb $0x11, %al
	outb %al, $0x20
	movb $0x20, %al
	outb %al, $0x21
	movb $0x04, %al
	outb %al, $0x21
	movb $0x01, %al
	outb %al, $0x21
	movb $0xfe, %al
	outb %al, $0x21
# syscall: STAR, LSTAR, SFMASK = 0
	movl $0xc0000081, %ecx
	xorl %eax, %eax
	movl $0x00130008, %edx
	wrmsr
	incl %ecx
	movl $entry, %eax
	xorl %edx, %edx
	wrmsr
	movq %cr3, %rax
	movq %rax, %cr3
	movl $user, %ecx
	movl $0x202, %r11d
	movl $0x7800, %esp
	xorl %ebx, %ebx
	sysretq
user:
	cmpl $2, %ebx
	jb user
	syscall
entry:
	movl $msg, %esi
	movw $0x3f8, %dx
1:	lodsb
	testb %al, %al
	jz 2f
	outb %al, %dx
	jmp 1b
2:	movb $0x10, %al
	outb %al, $0xf4
3:	hlt
	jmp 3b
tick:
	incl %ebx
	pushq %rax
	movb $0x20, %al
	outb %al, $0x20
	popq %rax
	iretq
msg:	.asciz "croft-probe: long mode runs\n"
	.balign 8
gdt:	.quad 0
	.quad 0x00209a0000000000
	.quad 0x0000920000000000
	.quad 0x0000f20000000000
	.quad 0x0020fa0000000000
tssd:	.quad 0x0000890060000067
	.quad 0
gdtr:	.word gdtr-gdt-1
	.long gdt
	.word 0
idtr:	.word 0x2ff
	.quad 0x5000
	.org 510
	.word 0xaa55
