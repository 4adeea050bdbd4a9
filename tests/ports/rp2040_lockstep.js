// Runs the translated code of an image side by side with rp2040js's own interpreter, and compares
// registers and cycles after each stretch.
//
//     node rp2040_lockstep.js FOLDER-OF-BOARD.JS ELF SLOT CYCLES
//
// The firmware starts, hashes the slot, and sleeps.
'use strict';

const fs = require('node:fs');
const path = require('node:path');

const [folder, image, slot, cycles] = [path.resolve(process.argv[2]), ...process.argv.slice(3)];
const { RP2040 } = require(require.resolve('rp2040js', { paths: [folder] }));
const { FastCore } = require(path.join(folder, 'fast_core.js'));

function chip() {
  const made = new RP2040();
  made.logger = { debug() {}, info() {}, warn() {}, error: console.error };
  const elf = fs.readFileSync(image);
  const [headers, size, count] = [elf.readUInt32LE(28), elf.readUInt16LE(42), elf.readUInt16LE(44)];
  for (let at = headers; at < headers + size * count; at += size) {
    const [kind, offset, , address, bytes] = [0, 4, 8, 12, 16].map((o) => elf.readUInt32LE(at + o));
    if (kind !== 1 || bytes === 0) continue;
    made.flash.set(elf.subarray(offset, offset + bytes), address - 0x10000000);
  }
  made.flash.set(fs.readFileSync(slot), 0x40000);
  made.core.VTOR = 0x10000100;
  made.core.reset();
  return made;
}

const [fastChip, plainChip] = [chip(), chip()];
const fast = new FastCore(fastChip, (text) => { throw new Error(text); });
const plain = plainChip.core;
let [done, stretches, plainDone] = [0, 0, 0];
while (done < Number(cycles) && !fastChip.core.waiting) {
  fast.run(1);
  done += fast.cycles;
  stretches += 1;
  while (plainDone < done) {
    const spent = plain.executeInstruction();
    plainDone += spent;
    plainChip.clock.nanosCounter += spent * Math.round(1e9 / plainChip.clkSys);
  }
  const [ours, theirs] = [fastChip.core, plain].map((core) => [...core.registers].join());
  if (ours !== theirs || done !== plainDone) {
    console.log(`after ${stretches} stretches, ${done} and ${plainDone} cycles:`);
    console.log(`${ours}\n${theirs}`);
    process.exit(1);
  }
}
const same = Buffer.compare(Buffer.from(fastChip.sram), Buffer.from(plainChip.sram)) === 0;
console.log(`${stretches} stretches, ${done} cycles, SRAM ${same ? 'equal' : 'differs'}`);
process.exit(same ? 0 : 1);
