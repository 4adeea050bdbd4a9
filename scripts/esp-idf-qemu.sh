#!/bin/bash
# Runs a built app of firmware/ports/esp-idf in Espressif's QEMU: scripts/esp-idf-qemu.sh CHIP PORT.
#
# UART0 is then socket://127.0.0.1:PORT, for `edgeprof worker --board`. It wants ESP-IDF's
# environment, whose idf.py knows QEMU's arguments and the fuses of each chip; its own
# `idf.py qemu` shares that line with QEMU's monitor, which is not for bytes.
set -euo pipefail
chip=$1 port=$2
cd "$(dirname "$0")/../firmware/build/$chip-idf"

python -m esptool --chip "$chip" merge-bin --pad-to-size 4MB -o qemu-flash.bin @flash_args
mapfile -t machine < <(
    PYTHONPATH=$IDF_PATH/tools python - "$chip" <<'END'
import sys
from idf_py_actions.qemu_ext import QEMU_TARGETS

chip = QEMU_TARGETS[sys.argv[1]]
open("qemu-efuse.bin", "wb").write(chip.default_efuse)
print(chip.qemu_prog, *chip.qemu_args.split(), sep="\n")
END
)
psram=()
if grep -q '^CONFIG_SPIRAM_MODE_OCT=y' sdkconfig; then
    psram=(-global "driver=ssi_psram,property=is_octal,value=true")
fi
exec "${machine[@]}" "${psram[@]}" -nographic -monitor none \
    -serial "tcp:127.0.0.1:$port,server,nowait" \
    -drive file=qemu-flash.bin,if=mtd,format=raw \
    -drive file=qemu-efuse.bin,if=none,format=raw,id=efuse \
    -global "driver=nvram.$chip.efuse,property=drive,value=efuse" \
    -global "driver=timer.$chip.timg,property=wdt_disable,value=true"
