// An RP2040 with our firmware in its flash, its UART0 on a socket that we are started with.
//
//     node board.js --fd N --elf FILE --uid HEX --seed N --identity ADDRESS
//                   [--slot FILE --slot-address ADDRESS]
//
// Time is the chip's: cycles of instructions times the clock period that the firmware has set.
// While the core sleeps, the host's time passes. So equal work takes equal time, however busy this
// host is. Neither the speed of the UART nor the flash cache is modelled. The program ends with its
// peer.
'use strict';

const fs = require('node:fs');
const net = require('node:net');
const { parseArgs } = require('node:util');
const { RP2040 } = require('rp2040js');
const { FastCore } = require('./fast_core.js');

const FLASH = 0x10000000;
const SRAM = 0x20000000;
const VECTORS = FLASH + 0x100; // behind boot2, which needs the mask ROM
const WATCHDOG = 0x40058;
const IDENTITY_MAGIC = 0x49444d51; // ports/common/identity.h
const SLICE_CYCLES = 1_000_000; // between looks at the socket
const PATIENCE_NANOS = 2e9;

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
let fast;
let restart = false;

// A chip out of reset. A restart by the watchdog keeps what silicon keeps: flash, SRAM, scratch.
function powerOn(before) {
  chip = new RP2040();
  const error = (part, text) => fail(`${part}: ${text}`);
  chip.logger = { debug() {}, info() {}, warn() {}, error };
  if (before) {
    chip.flash.set(before.flash);
    chip.sram.set(before.sram);
    chip.peripherals[WATCHDOG].scratchData.set(before.peripherals[WATCHDOG].scratchData);
  } else {
    loadElf(chip.flash, fs.readFileSync(options.elf));
    if (options.slot) {
      chip.flash.set(fs.readFileSync(options.slot), options['slot-address'] - FLASH);
    }
    writeIdentity(chip.sram, Buffer.from(options.uid, 'hex'), Number(options.seed));
  }
  chip.peripherals[WATCHDOG].onWatchdogTrigger = () => (restart = fast.stop = true);
  chip.uart[0].onByte = sent;
  chip.core.VTOR = VECTORS;
  fast = new FastCore(chip, fail);
}

// What silicon faults on: the board falls silent, and its socket closes.
function fail(text) {
  process.stderr.write(`board.js: ${text}\n`);
  process.exit(1);
}

const output = [];
let input = Buffer.alloc(0); // received by the socket, not yet by the UART
let taken = 0; // of the input
let arrived = 0; // the chip's time
let asleepSince = null; // the host's time

socket.on('data', (bytes) => {
  input = Buffer.concat([input.subarray(taken), bytes]);
  taken = 0;
  if (asleepSince !== null) {
    const micros = Number(process.hrtime.bigint() - asleepSince) / 1000;
    chip.clock.tick(Math.floor(micros) * 1000);
    asleepSince = null;
    setImmediate(run);
  }
  arrived = chip.clock.nanos;
});

function feed() {
  const uart = chip.uart[0];
  while (taken < input.length && !uart.rxFIFO.full) uart.feedByte(input[taken++]);
}

// What comes while the core computes is given to it when it next sends or sleeps: never in a window
// that the firmware times, for then the interrupt would be timed too. Patience has an end, as
// somebody may want to cancel what takes long.
function sent(byte) {
  output.push(byte);
  feed();
}

function run() {
  const { core, clock } = chip;
  for (let left = SLICE_CYCLES; left > 0 && !restart; left -= fast.cycles) {
    if (core.waiting || clock.nanos - arrived > PATIENCE_NANOS) feed();
    if (core.waiting) break;
    fast.run(left);
  }
  if (output.length > 0) socket.write(Buffer.from(output.splice(0)));
  if (restart) {
    restart = false;
    powerOn(chip);
  } else if (core.waiting) {
    asleepSince = process.hrtime.bigint();
    return;
  }
  setImmediate(run);
}

powerOn();
run();
