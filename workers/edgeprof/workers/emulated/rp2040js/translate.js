// Thumb instructions as JavaScript: what rp2040js's interpreter does to the core's registers, flags
// and cycles, written out for one stretch of code, so that V8 compiles it.
//
// The state is an Int32Array S: registers 0 to 15; then NZ, a value whose sign and zeroness are the
// flags N and Z; C, 0 or 1; V, whose sign is the flag; the cycles of this slice, and those after
// which the dispatcher wants to look. A stretch is a function that returns the address to go on at;
// bit 0 is set where the interpreter has to carry out the instruction there.
'use strict';

const [NZ, C, V, CYCLES, LIMIT] = [16, 17, 18, 19, 20];
const STRETCH = 80; // instructions

const CONDITIONS = [
  'S[16]===0', 'S[16]!==0', 'S[17]!==0', 'S[17]===0', 'S[16]<0', 'S[16]>=0', 'S[18]<0', 'S[18]>=0',
  'S[17]!==0&&S[16]!==0', 'S[17]===0||S[16]===0', '(S[16]^S[18])>=0', '(S[16]^S[18])<0',
  'S[16]!==0&&(S[16]^S[18])>=0', 'S[16]===0||(S[16]^S[18])<0',
];

const nz = (target) => `S[${target}]=r;S[16]=r;`;
const add = (target, a, b) =>
  `a=${a};b=${b};r=a+b|0;S[17]=(r>>>0)<(a>>>0)?1:0;S[18]=(a^r)&(b^r);S[16]=r;${put(target)}`;
const subtract = (target, a, b) =>
  `a=${a};b=${b};r=a-b|0;S[17]=(a>>>0)>=(b>>>0)?1:0;S[18]=(a^b)&(a^r);S[16]=r;${put(target)}`;
const addWithCarry = (target, a, b) =>
  `a=${a};b=${b};r=(a>>>0)+(b>>>0)+S[17];S[17]=r>4294967295?1:0;r=r|0;` +
  `S[18]=(a^r)&(b^r);S[16]=r;${put(target)}`;
const put = (target) => (target === null ? '' : `S[${target}]=r;`);
const logic = (target, expression) => `r=${expression};S[16]=r;${put(target)}`;

// A shift by a register's lowest byte: by 1 to 31, by 32, by more; by 0 it leaves C alone.
const shift = (d, m, body, carry, at32, carryAt32, beyond) =>
  `a=S[${d}];t=S[${m}]&255;if(t===0)r=a;else if(t<32){r=a${body};S[17]=${carry};}` +
  `else{r=${beyond};S[17]=t===32?${carryAt32}:${at32};}${nz(d)}`;

// The instructions 0x40xx, by bits 6 to 9.
const DATA_PROCESSING = [
  (d, m) => logic(d, `S[${d}]&S[${m}]`),
  (d, m) => logic(d, `S[${d}]^S[${m}]`),
  (d, m) => shift(d, m, '<<t', 'a>>>32-t&1', '0', 'a&1', '0'),
  (d, m) => shift(d, m, '>>>t|0', 'a>>>t-1&1', '0', 'a>>>31', '0'),
  (d, m) => shift(d, m, '>>t', 'a>>>t-1&1', 'a>>>31', 'a>>>31', 'a>>31'),
  (d, m) => addWithCarry(d, `S[${d}]`, `S[${m}]`),
  (d, m) => addWithCarry(d, `S[${d}]`, `~S[${m}]`),
  (d, m) => `a=S[${d}];t=S[${m}]&255;r=a>>>(t&31)|a<<(32-t&31);if(t!==0)S[17]=r>>>31;${nz(d)}`,
  (d, m) => logic(null, `S[${d}]&S[${m}]`),
  (d, m) => subtract(d, '0', `S[${m}]`),
  (d, m) => subtract(null, `S[${d}]`, `S[${m}]`),
  (d, m) => add(null, `S[${d}]`, `S[${m}]`),
  (d, m) => logic(d, `S[${d}]|S[${m}]`),
  (d, m) => logic(d, `Math.imul(S[${d}],S[${m}])`),
  (d, m) => logic(d, `S[${d}]&~S[${m}]`),
  (d, m) => logic(d, `~S[${m}]`),
];

// The loads and stores with a register's offset, by bits 9 to 11.
const MEMORY = ['st32', 'st16', 'st8', 'ld8s', 'ld32', 'ld16', 'ld8', 'ld16s'];
const memory = (name, t, address, cycles) =>
  name.startsWith('st')
    ? `${name}(${address},S[${t}],${cycles});`
    : `S[${t}]=${name}(${address},${cycles});`;

const listed = (bits) => [...Array(8).keys()].filter((register) => bits & (1 << register));

// The text and cycles of an instruction that only goes on to the next, or null for all others.
function plain(op, pc, cycles) {
  const [d, m, n, imm5, imm8] = [op & 7, op >> 3 & 7, op >> 6 & 7, op >> 6 & 31, op & 255];
  const high = op >> 8 & 7;
  const one = (text) => ({ text, cycles: 1 });
  const two = (text) => ({ text, cycles: 2 });
  switch (op >> 11) {
    case 0b00000:
      if (imm5 === 0) return one(logic(d, `S[${m}]`));
      return one(`a=S[${m}];r=a<<${imm5};S[17]=a>>>${32 - imm5}&1;${nz(d)}`);
    case 0b00001:
      if (imm5 === 0) return one(`S[17]=S[${m}]>>>31;r=0;${nz(d)}`);
      return one(`a=S[${m}];r=a>>>${imm5}|0;S[17]=a>>>${imm5 - 1}&1;${nz(d)}`);
    case 0b00010:
      return one(`a=S[${m}];r=a>>${imm5 || 31};S[17]=a>>>${(imm5 || 32) - 1}&1;${nz(d)}`);
    case 0b00011: {
      const right = op & 0x400 ? n : `S[${n}]`;
      return one((op & 0x200 ? subtract : add)(d, `S[${m}]`, right));
    }
    case 0b00100:
      return one(`S[${high}]=S[16]=${imm8};`);
    case 0b00101:
      return one(subtract(null, `S[${high}]`, imm8));
    case 0b00110:
      return one(add(high, `S[${high}]`, imm8));
    case 0b00111:
      return one(subtract(high, `S[${high}]`, imm8));
    case 0b01000:
      return op & 0x400 ? moveHigh(op, pc) : one(DATA_PROCESSING[op >> 6 & 15](d, m));
    case 0b01001:
      return two(memory('ld32', high, ((pc + 4 & ~3) + imm8 * 4), cycles));
    case 0b01010:
    case 0b01011:
      return two(memory(MEMORY[op >> 9 & 7], d, `S[${m}]+S[${n}]|0`, cycles));
    case 0b01100:
    case 0b01101:
      return two(memory(op & 0x800 ? 'ld32' : 'st32', d, `S[${m}]+${imm5 * 4}|0`, cycles));
    case 0b01110:
    case 0b01111:
      return two(memory(op & 0x800 ? 'ld8' : 'st8', d, `S[${m}]+${imm5}|0`, cycles));
    case 0b10000:
    case 0b10001:
      return two(memory(op & 0x800 ? 'ld16' : 'st16', d, `S[${m}]+${imm5 * 2}|0`, cycles));
    case 0b10010:
    case 0b10011:
      return two(memory(op & 0x800 ? 'ld32' : 'st32', high, `S[13]+${imm8 * 4}|0`, cycles));
    case 0b10100:
      return one(`S[${high}]=${(pc + 4 & ~3) + imm8 * 4};`);
    case 0b10101:
      return one(`S[${high}]=S[13]+${imm8 * 4};`);
    case 0b10110:
    case 0b10111:
      return miscellaneous(op, cycles);
    case 0b11000:
    case 0b11001:
      return multiple(op, cycles);
    default:
      return null;
  }
}

// ADD, CMP and MOV of all registers; BX, BLX and what writes the program counter are no plain ones.
function moveHigh(op, pc) {
  const [kind, d, m] = [op >> 8 & 3, op >> 4 & 8 | op & 7, op >> 3 & 15];
  const [left, right] = [d, m].map((register) => (register === 15 ? pc + 4 : `S[${register}]`));
  const keep = d === 13 ? '&~3' : '';
  if (kind === 1) return { text: subtract(null, left, right), cycles: 1 };
  if (kind === 3 || d === 15) return null;
  const value = kind === 0 ? `(${left}+${right}|0)` : right;
  return { text: `S[${d}]=${value}${keep};`, cycles: 1 };
}

function miscellaneous(op, cycles) {
  const [d, m] = [op & 7, op >> 3 & 7];
  const one = (text) => ({ text, cycles: 1 });
  if (op >> 8 === 0xb0) return one(`S[13]=S[13]${op & 0x80 ? '-' : '+'}${(op & 127) * 4};`);
  if (op >> 9 === 0b1011010) {
    const registers = [...listed(op & 255), ...(op & 256 ? [14] : [])];
    const words = registers.map((r, i) => `st32(a+${4 * i}|0,S[${r}],${cycles});`).join('');
    return {
      text: `a=S[13]-${4 * registers.length}|0;${words}S[13]=a;`,
      cycles: 1 + listed(op & 255).length,
    };
  }
  if (op >> 9 === 0b1011110 && !(op & 256)) {
    return { text: pop(op, cycles), cycles: 1 + listed(op & 255).length };
  }
  switch (op >> 6) {
    case 0b1011001000: return one(`S[${d}]=S[${m}]<<16>>16;`);
    case 0b1011001001: return one(`S[${d}]=S[${m}]<<24>>24;`);
    case 0b1011001010: return one(`S[${d}]=S[${m}]&65535;`);
    case 0b1011001011: return one(`S[${d}]=S[${m}]&255;`);
    case 0b1011101000: return one(`a=S[${m}];S[${d}]=a<<24|a<<8&0xff0000|a>>8&0xff00|a>>>24;`);
    case 0b1011101001: return one(`a=S[${m}];S[${d}]=a<<8&0xff00ff00|a>>>8&0xff00ff;`);
    case 0b1011101011: return one(`a=S[${m}];S[${d}]=a<<24>>16|a>>8&255;`);
    default: return op === 0xbf00 ? one('') : null;
  }
}

const pop = (op, cycles) => {
  const registers = listed(op & 255);
  const words = registers.map((r, i) => `S[${r}]=ld32(a+${4 * i}|0,${cycles});`).join('');
  return `a=S[13];${words}S[13]=a+${4 * registers.length};`;
};

function multiple(op, cycles) {
  const [n, registers] = [op >> 8 & 7, listed(op & 255)];
  const word = (r, i) =>
    op & 0x800 ? `S[${r}]=ld32(a+${4 * i}|0,${cycles});` : `st32(a+${4 * i}|0,S[${r}],${cycles});`;
  const back = registers.includes(n) ? '' : `S[${n}]=a+${4 * registers.length};`;
  return { text: `a=S[${n}];${registers.map(word).join('')}${back}`, cycles: 1 + registers.length };
}

// The text of the stretch that starts at `start`; `code` reads a half-word of it.
function stretch(start, code) {
  let [pc, cycles, text] = [start, 0, ''];
  const leave = (target, more) => {
    const spent = `S[19]+=${cycles + more};`;
    const again = target === start ? 'if(S[19]<S[20])continue;' : '';
    return `{${spent}${again}return ${target};}`;
  };
  for (let i = 0; i < STRETCH; i++) {
    const op = code(pc);
    const now = plain(op, pc, cycles);
    if (now !== null) {
      text += now.text;
      cycles += now.cycles;
      pc += 2;
    } else if (op >> 12 === 0b1101 && (op >> 9 & 7) !== 7) {
      text += `if(${CONDITIONS[op >> 8 & 15]})${leave(pc + 4 + (op << 24 >> 23), 2)}`;
      cycles += 1;
      pc += 2;
    } else if (op >> 11 === 0b11100) {
      const target = pc + 4 + (op << 21 >> 20);
      if (target === start) return text + leave(target, 2);
      cycles += 2;
      pc = target;
    } else if (op >> 11 === 0b11110 && (code(pc + 2) & 0xd000) === 0xd000) {
      text += `S[14]=${pc + 5};`;
      cycles += 3;
      pc = branchTarget(op, code(pc + 2), pc);
    } else if (op >> 7 === 0b010001111) {
      return `${text}a=S[${op >> 3 & 15}];S[14]=${pc + 3};${leave('a&~1', 2)}`;
    } else if (op >> 7 === 0b010001110) {
      return `${text}a=S[${op >> 3 & 15}];if(a>>>28===15)${leave(pc | 1, 0)}${leave('a&~1', 2)}`;
    } else if (op >> 9 === 0b1011110) {
      const n = listed(op & 255).length;
      return (
        `${text}t=ld32(S[13]+${4 * n}|0,${cycles});if(t>>>28===15)${leave(pc | 1, 0)}` +
        `${pop(op, cycles)}S[13]+=4;${leave('t&~1', 3 + n)}`
      );
    } else {
      return text + leave(pc | 1, 0);
    }
  }
  return text + leave(pc, 0);
}

function branchTarget(first, second, pc) {
  const sign = first >> 10 & 1;
  const [i1, i2] = [1 - (sign ^ (second >> 13 & 1)), 1 - (sign ^ (second >> 11 & 1))];
  const low = (first & 0x3ff) << 12 | (second & 0x7ff) << 1;
  return pc + 4 + (-sign << 24 | i1 << 23 | i2 << 22 | low);
}

module.exports = { NZ, C, V, CYCLES, LIMIT, stretch };
