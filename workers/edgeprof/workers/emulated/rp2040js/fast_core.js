// Runs the core of an rp2040js chip by translated stretches of code (translate.js), which is many
// times as fast as its interpreter, and by the interpreter where there is no translation:
// interrupts, special registers, sleep. Cycles are the interpreter's.
'use strict';

const { NZ, C, V, CYCLES, LIMIT, stretch } = require('./translate.js');

const FLASH = 0x10000000;
const SRAM = 0x20000000;

class FastCore {
  // `fail` is called with what silicon would fault on.
  constructor(chip, fail) {
    this.chip = chip;
    this.fail = fail;
    this.state = new Int32Array(32);
    chip.core.registers = new Uint32Array(this.state.buffer, 0, 16);
    chip.core.reset();
    this.stretches = [];
    this.memory = this.#memory();
    this.setClock(chip.clkSys);
    chip.addClockListener((hertz) => this.setClock(hertz));
  }

  // A whole number of nanoseconds, so that sums of it are exact.
  setClock(hertz) {
    this.nanosPerCycle = Math.round(1e9 / hertz);
  }

  // How many the last run() took.
  get cycles() {
    return this.state[CYCLES];
  }

  // Carry out instructions for about so many cycles, or until the core sleeps or `stop` is set.
  run(cycles) {
    const { state, stretches } = this;
    const { core } = this.chip;
    this.stop = false;
    state[CYCLES] = 0;
    this.#rebase(0);
    this.#takeFlags();
    let pc = core.PC;
    while (state[CYCLES] < cycles && !core.waiting && !this.stop) {
      const translated = stretches[(pc - FLASH) >> 1] ?? this.#translate(pc);
      if (translated === null || core.interruptsUpdated) {
        pc = this.#interpret(pc);
      } else {
        state[LIMIT] = cycles;
        pc = translated();
        if (pc & 1) pc = this.#interpret(pc - 1);
      }
    }
    core.PC = pc;
    this.#giveFlags();
    this.#tell(0);
  }

  #translate(pc) {
    const { flash16 } = this.chip;
    if (pc < FLASH || pc >= FLASH + 2 * flash16.length) return null;
    const text = stretch(pc, (address) => flash16[(address - FLASH) >> 1]);
    const names = Object.keys(this.memory);
    const body = `return function(){let a,b,r,t;for(;;){${text}}}`;
    const translated = new Function('S', ...names, body)(this.state, ...Object.values(this.memory));
    this.stretches[(pc - FLASH) >> 1] = translated;
    return translated;
  }

  #interpret(pc) {
    const { core } = this.chip;
    core.PC = pc;
    this.#giveFlags();
    this.#tell(0);
    const cycles = core.executeInstruction();
    this.#rebase(0);
    this.state[CYCLES] += cycles;
    this.#takeFlags();
    return core.PC;
  }

  // The chip's clock and ours: where its time is `cycles` beyond what the state counts.
  #tell(cycles) {
    this.chip.clock.nanosCounter = this.base + (this.state[CYCLES] + cycles) * this.nanosPerCycle;
  }

  #rebase(cycles) {
    this.base = this.chip.clock.nanosCounter - (this.state[CYCLES] + cycles) * this.nanosPerCycle;
  }

  #takeFlags() {
    const { state, chip } = this;
    state[NZ] = chip.core.Z ? 0 : chip.core.N ? -1 : 1;
    state[C] = chip.core.C ? 1 : 0;
    state[V] = chip.core.V ? -1 : 0;
  }

  #giveFlags() {
    const { state, chip } = this;
    chip.core.N = state[NZ] < 0;
    chip.core.Z = state[NZ] === 0;
    chip.core.C = state[C] !== 0;
    chip.core.V = state[V] < 0;
  }

  #mustBeAligned(address, bytes) {
    if (address & (bytes - 1)) this.fail(`${bytes} bytes at ${(address >>> 0).toString(16)}`);
  }

  // What is neither SRAM nor flash: peripherals, which may look at the clock or change it.
  #load(address, bytes, cycles) {
    const { core } = this.chip;
    this.#mustBeAligned(address, bytes);
    this.#tell(cycles);
    const read = { 1: 'readUint8', 2: 'readUint16', 4: 'readUint32' }[bytes];
    const value = core[read](address >>> 0);
    this.state[CYCLES] += core.cyclesIO(address) - 1;
    this.#rebase(cycles + 1 - core.cyclesIO(address));
    return value | 0;
  }

  #store(address, value, bytes, cycles) {
    const { core } = this.chip;
    this.#mustBeAligned(address, bytes);
    this.#tell(cycles);
    const write = { 1: 'writeUint8', 2: 'writeUint16', 4: 'writeUint32' }[bytes];
    core[write](address >>> 0, value >>> 0);
    this.#rebase(cycles);
    this.state[CYCLES] += core.cyclesIO(address, true) - 1;
    this.state[LIMIT] = 0; // an interrupt may wait
  }

  // The functions that translated code calls; V8 puts the short way of each in place of the call.
  #memory() {
    const { chip } = this;
    const [s8, f8] = [chip.sram, chip.flash];
    const [s16, s32] = [new Uint16Array(s8.buffer), new Int32Array(s8.buffer)];
    const [f16, f32] = [new Uint16Array(f8.buffer), new Int32Array(f8.buffer)];
    const [ss, fs] = [s8.length, f8.length];
    const load = (address, bytes, cycles) => this.#load(address, bytes, cycles);
    const store = (address, value, bytes, cycles) => this.#store(address, value, bytes, cycles);
    const ld8 = (a, cycles) => {
      const s = (a - SRAM) >>> 0;
      if (s < ss) return s8[s];
      const f = (a - FLASH) >>> 0;
      return f < fs ? f8[f] : load(a, 1, cycles);
    };
    const ld16 = (a, cycles) => {
      const s = (a - SRAM) >>> 0;
      if (s < ss && !(a & 1)) return s16[s >> 1];
      const f = (a - FLASH) >>> 0;
      return f < fs && !(a & 1) ? f16[f >> 1] : load(a, 2, cycles);
    };
    const ld32 = (a, cycles) => {
      const s = (a - SRAM) >>> 0;
      if (s < ss && !(a & 3)) return s32[s >> 2];
      const f = (a - FLASH) >>> 0;
      return f < fs && !(a & 3) ? f32[f >> 2] : load(a, 4, cycles);
    };
    return {
      ld8,
      ld16,
      ld32,
      ld8s: (a, cycles) => (ld8(a, cycles) << 24) >> 24,
      ld16s: (a, cycles) => (ld16(a, cycles) << 16) >> 16,
      st8: (a, value, cycles) => {
        const s = (a - SRAM) >>> 0;
        if (s < ss) s8[s] = value;
        else store(a, value, 1, cycles);
      },
      st16: (a, value, cycles) => {
        const s = (a - SRAM) >>> 0;
        if (s < ss && !(a & 1)) s16[s >> 1] = value;
        else store(a, value, 2, cycles);
      },
      st32: (a, value, cycles) => {
        const s = (a - SRAM) >>> 0;
        if (s < ss && !(a & 3)) s32[s >> 2] = value;
        else store(a, value, 4, cycles);
      },
    };
  }
}

module.exports = { FastCore };
