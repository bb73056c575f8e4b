# A guest in one boot sector, for tests of the hypervisor. It says `guest ready`, echoes what it reads on the
# first serial port, and does what an operating system would:
#   power button (ACPI)        -> powers off          (q35: PM1a at 0x600, SLP_TYP 0 is S5)
#   hot-unplug request (ACPI)  -> ejects the device   (QEMU docs/specs/acpi_pci_hotplug, at 0xcc0)
#   `Q` on the serial port     -> powers off by itself
#   `P` on the serial port     -> panics, by pvpanic-pci in slot 7
#   as --32 -o guest.o tiny-guest.S && ld -m elf_i386 -Ttext=0x7c00 --oformat=binary -o guest.bin guest.o
	.code16
	.globl _start
_start:
	cli
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $0x7c00, %sp
	sti
	movw $0x602, %dx
	movw $0x100, %ax
	outw %ax, %dx
	movw $msg, %si
	cld
1:	lodsb
	testb %al, %al
	jz loop
	call putc
	jmp 1b
loop:	hlt
	movw $0x600, %dx
	inw %dx, %ax
	testw $0x100, %ax
	jnz off
drain:	movw $0x3fd, %dx
	inb %dx, %al
	testb $1, %al
	jz eject
	movw $0x3f8, %dx
	inb %dx, %al
	cmpb $'Q', %al
	je off
	cmpb $'P', %al
	je panic
	call putc
	jmp drain
eject:	xorl %ecx, %ecx
2:	movw $0xcd0, %dx
	movl %ecx, %eax
	outl %eax, %dx
	movw $0xcc4, %dx
	inl %dx, %eax
	testl %eax, %eax
	jz 3f
	movw $0xcc8, %dx
	outl %eax, %dx
3:	incw %cx
	cmpw $64, %cx
	jb 2b
	jmp loop
off:	movw $0x604, %dx
	movw $0x2000, %ax
	outw %ax, %dx
	jmp loop
putc:	movw $0x3f8, %dx
	outb %al, %dx
	ret
# The panic device's register is in memory above 1 MiB: protected mode is entered for a segment that reaches it.
panic:	cli
	movl $0x80003810, %eax
	movw $0xcf8, %dx
	outl %eax, %dx
	movw $0xcfc, %dx
	inl %dx, %eax
	andb $0xf0, %al
	movl %eax, %ebx
	lgdt gdtr
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	movw $8, %cx
	movw %cx, %ds
	andb $0xfe, %al
	movl %eax, %cr0
	movb $1, (%ebx)
4:	hlt
	jmp 4b
msg:	.asciz "guest ready\r\n"
	.balign 8
gdt:	.quad 0
	.quad 0x00cf92000000ffff
gdtr:	.word gdtr-gdt-1
	.long gdt
	.org 510
	.word 0xaa55
