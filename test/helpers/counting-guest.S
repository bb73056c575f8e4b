# A guest in one boot sector that writes to 64 pages in turn and checks each before it writes again: every page holds the
# number of the round. It says `.` on the first serial port after 65,536 rounds, and `B` when a page isn't what it wrote:
# then its memory is not what it was, and it stops.
#   as --32 -o guest.o counting-guest.S && ld -m elf_i386 -Ttext=0x7c00 --oformat=binary -o guest.bin guest.o
	.code16
	.globl _start
_start:
	cli
	xorl %ebx, %ebx
	movw $0x1000, %ax
zero:	movw %ax, %ds
	movl %ebx, 0
	addw $0x100, %ax
	cmpw $0x5000, %ax
	jb zero
round:	movl %ebx, %ecx
	incl %ecx
	movw $0x1000, %ax
page:	movw %ax, %ds
	cmpl %ebx, 0
	jne bad
	movl %ecx, 0
	addw $0x100, %ax
	cmpw $0x5000, %ax
	jb page
	movl %ecx, %ebx
	testw %bx, %bx
	jnz round
	movb $'.', %al
	movw $0x3f8, %dx
	outb %al, %dx
	jmp round
bad:	movb $'B', %al
	movw $0x3f8, %dx
	outb %al, %dx
1:	hlt
	jmp 1b
	.org 510
	.word 0xaa55
