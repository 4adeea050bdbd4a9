// An RP2040 with our firmware in its flash, its UART0 on a socket that we are started with.
//
//     node board.js --fd N --elf FILE --uid HEX --seed N --identity ADDRESS
//                   [--slot FILE --slot-address ADDRESS]
//
// Time is the chip's: cycles of instructions times the clock period that the firmware has set. While
// the core sleeps, the host's time passes. So equal work takes equal time, however busy this host is.
// Neither the speed of the UART nor the flash cache is modelled. The program ends with its peer.
'use strict';

const fs = require('node:fs');
const net = require('node:net');
const { parseArgs } = require('node:util');
const { RP2040 } = require('rp2040js');

const FLASH = 0x10000000;
const SRAM = 0x20000000;
const VECTORS = FLASH + 0x100; // behind boot2, which needs the mask ROM
const WATCHDOG = 0x40058;
const IDENTITY_MAGIC = 0x49444d51; // ports/common/identity.h
const SLICE = 200_000; // instructions between looks at the socket: some milliseconds

const { values: options } = parseArgs({
  options: Object.fromEntries(
    ['fd', 'elf', 'uid', 'seed', 'identity', 'slot', 'slot-address'].map((name) => [
      name,
      { type: 'string' },
    ]),
  ),
});

const socket = new net.Socket({ fd: Number(options.fd), readable: true, writable: true });
for (const end of ['close', 'error']) socket.on(end, () => process.exit(0));

// The ELF's segments by physical address, as they lie in flash.
function loadElf(flash, elf) {
  const [headers, size, count] = [elf.readUInt32LE(28), elf.readUInt16LE(42), elf.readUInt16LE(44)];
  for (let at = headers; at < headers + size * count; at += size) {
    const [kind, offset, , address, bytes] = [0, 4, 8, 12, 16].map((o) => elf.readUInt32LE(at + o));
    if (kind === 1 && bytes > 0) flash.set(elf.subarray(offset, offset + bytes), address - FLASH);
  }
}

function writeIdentity(sram, uid, seed) {
  const words = Buffer.alloc(20);
  words.writeUInt32LE(IDENTITY_MAGIC, 0);
  words.writeUInt32LE(uid.length, 4);
  uid.copy(words, 8);
  words.writeUInt32LE(seed, 16);
  sram.set(words, Number(options.identity) - SRAM);
}

let chip;
let cycleNanos; // of the clock that the firmware has set; whole, so that sums of it are exact
let restart = false;
const output = [];

// A chip out of reset. A restart by the watchdog keeps what silicon keeps: flash, SRAM, scratch.
function powerOn(before) {
  chip = new RP2040();
  chip.logger = { debug() {}, info() {}, warn() {}, error: (part, text) => fail(`${part}: ${text}`) };
  if (before) {
    chip.flash.set(before.flash);
    chip.sram.set(before.sram);
    chip.peripherals[WATCHDOG].scratchData.set(before.peripherals[WATCHDOG].scratchData);
  } else {
    loadElf(chip.flash, fs.readFileSync(options.elf));
    if (options.slot) chip.flash.set(fs.readFileSync(options.slot), options['slot-address'] - FLASH);
    writeIdentity(chip.sram, Buffer.from(options.uid, 'hex'), Number(options.seed));
  }
  chip.peripherals[WATCHDOG].onWatchdogTrigger = () => (restart = true);
  chip.uart[0].onByte = (byte) => output.push(byte);
  cycleNanos = Math.round(1e9 / chip.clkSys);
  chip.addClockListener((hertz) => (cycleNanos = Math.round(1e9 / hertz)));
  chip.core.VTOR = VECTORS;
  chip.core.reset();
}

// What the emulator finds wrong: a read of a word that is not aligned, which silicon faults on.
function fail(text) {
  process.stderr.write(`board.js: ${text}\n`);
  process.exit(1);
}

// Received by the socket, not yet by the UART.
let input = Buffer.alloc(0);
let taken = 0;
let asleepSince = null; // the host's nanoseconds

socket.on('data', (bytes) => {
  input = Buffer.concat([input.subarray(taken), bytes]);
  taken = 0;
  if (asleepSince !== null) {
    chip.clock.tick(Math.floor(Number(process.hrtime.bigint() - asleepSince) / 1000) * 1000);
    asleepSince = null;
    setImmediate(run);
  }
});

function run() {
  const { core, clock } = chip;
  const uart = chip.uart[0];
  let i = 0;
  while (i < SLICE && !restart) {
    while (taken < input.length && !uart.rxFIFO.full) uart.feedByte(input[taken++]);
    if (core.waiting) break;
    for (const until = i + 1000; i < until && !core.waiting; i++) {
      clock.nanosCounter += core.executeInstruction() * cycleNanos;
    }
  }
  if (output.length > 0) socket.write(Buffer.from(output.splice(0)));
  if (restart) {
    restart = false;
    powerOn(chip);
  } else if (chip.core.waiting) {
    asleepSince = process.hrtime.bigint();
    return;
  }
  setImmediate(run);
}

powerOn();
run();
