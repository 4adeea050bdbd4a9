/* What the boot ROM wants to see before it starts a program (RP2350 datasheet, 5.1.4 and 5.9): a
 * block within the first 4 KiB that says "a program for the RP2350, Arm, secure". Blocks form a
 * loop. Ours has a second one, which lies last and says nothing: a download that broke off has no
 * such loop, and the ROM shows its drive instead of starting half a program.
 *
 * It finds the vectors by itself, at the start of the image. */
#define BLOCK_START 0xffffded3
#define BLOCK_END 0xab123579
#define ITEM_IMAGE_TYPE 0x42
#define ITEM_IGNORED 0xfe
#define ITEM_LAST 0xff
#define IMAGE_IS_PROGRAM 0x0001
#define IMAGE_IS_SECURE 0x0020
#define IMAGE_IS_FOR_ARM 0x0000
#define IMAGE_IS_FOR_RP2350 0x1000

.section .image_def, "a"
.balign 4
.global link_image_def
link_image_def:
    .word BLOCK_START
    .byte ITEM_IMAGE_TYPE
    .byte 1 /* words */
    .hword IMAGE_IS_PROGRAM | IMAGE_IS_SECURE | IMAGE_IS_FOR_ARM | IMAGE_IS_FOR_RP2350
    .byte ITEM_LAST
    .hword 1 /* words of items before this one */
    .byte 0
    .word link_image_end - link_image_def /* the next block, from this one */
    .word BLOCK_END

.section .image_end, "a"
.balign 4
.global link_image_end
link_image_end:
    .word BLOCK_START
    .byte ITEM_IGNORED
    .hword 1 /* words */
    .byte 0
    .byte ITEM_LAST
    .hword 1
    .byte 0
    .word link_image_def - link_image_end
    .word BLOCK_END
