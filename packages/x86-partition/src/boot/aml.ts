// A declarative writer of ACPI machine language: objects as data, bytes out (ACPI 6.4, chapter 20, "AML Specification"; resource
// descriptors: chapter 6.4). As much of it as a machine without firmware has to say.

/** What a namespace contains. */
export type AmlObject =
  | { readonly is: 'name'; readonly name: string; readonly value: AmlValue }
  | { readonly is: 'device'; readonly name: string; readonly objects: readonly AmlObject[] }
  | { readonly is: 'scope'; readonly path: string; readonly objects: readonly AmlObject[] }

export type AmlValue =
  | number
  | string
  | { readonly is: 'package'; readonly elements: readonly AmlValue[] }
  | { readonly is: 'resources'; readonly resources: readonly AmlResource[] }
  | { readonly is: 'eisa-id'; readonly id: string }

/** What a device uses, or, as a window, hands on to the devices below it. */
export type AmlResource =
  | { readonly is: 'io'; readonly port: number; readonly count: number }
  | { readonly is: 'irq'; readonly irq: number }
  | { readonly is: 'memory-window'; readonly from: number; readonly bytes: number }

const Op = {
  ZERO: 0x00,
  ONE: 0x01,
  NAME: 0x08,
  BYTE: 0x0a,
  WORD: 0x0b,
  DWORD: 0x0c,
  STRING: 0x0d,
  SCOPE: 0x10,
  BUFFER: 0x11,
  PACKAGE: 0x12,
  DUAL_NAME: 0x2e,
  EXTENDED: 0x5b,
  DEVICE: 0x82,
} as const

const Descriptor = {
  IRQ_NO_FLAGS: 0x22,
  IO: 0x47,
  END: 0x79,
  DWORD_ADDRESS_SPACE: 0x87,
} as const

/** Throws a RangeError for a name that is none. */
export function amlBytes(objects: readonly AmlObject[]): number[] {
  return objects.flatMap(objectBytes)
}

function objectBytes(object: AmlObject): number[] {
  switch (object.is) {
    case 'name':
      return [Op.NAME, ...nameSegment(object.name), ...valueBytes(object.value)]
    case 'device':
      return [
        ...[Op.EXTENDED, Op.DEVICE],
        ...withLength([...nameSegment(object.name), ...amlBytes(object.objects)]),
      ]
    case 'scope':
      return [Op.SCOPE, ...withLength([...rootPath(object.path), ...amlBytes(object.objects)])]
  }
}

function valueBytes(value: AmlValue): number[] {
  if (typeof value === 'number') return integer(value)
  if (typeof value === 'string') return [Op.STRING, ...ascii(value), 0]
  switch (value.is) {
    case 'package':
      return [
        Op.PACKAGE,
        ...withLength([value.elements.length, ...value.elements.flatMap(valueBytes)]),
      ]
    case 'resources':
      return buffer([...value.resources.flatMap(resourceBytes), Descriptor.END, 0])
    case 'eisa-id':
      return [Op.DWORD, ...eisaId(value.id)]
  }
}

function resourceBytes(resource: AmlResource): number[] {
  switch (resource.is) {
    case 'io': {
      const { port, count } = resource
      // Decodes 16 bits, one base, no alignment to speak of.
      return [Descriptor.IO, 1, ...u16(port), ...u16(port), 1, count]
    }
    case 'irq':
      return [Descriptor.IRQ_NO_FLAGS, ...u16(1 << resource.irq)]
    case 'memory-window': {
      const { from, bytes } = resource
      const type = 0 //        memory
      const flags = 0x0c //    producer, minimum and maximum fixed, decoded positively
      const cacheable = 0x03 // cacheable, writable
      return [
        ...[Descriptor.DWORD_ADDRESS_SPACE, ...u16(23), type, flags, cacheable],
        ...[...u32(0), ...u32(from), ...u32(from + bytes - 1), ...u32(0), ...u32(bytes)],
      ]
    }
  }
}

/** Package length: it counts its own bytes, of which the first says how many follow. */
function withLength(content: readonly number[]): number[] {
  if (content.length + 1 < 0x40) return [content.length + 1, ...content]
  const more = content.length + 2 < 0x1000 ? 1 : 2
  const total = content.length + 1 + more
  const bytes = [(more << 6) | (total & 0xf), (total >>> 4) & 0xff]
  if (more === 2) bytes.push((total >>> 12) & 0xff)
  return [...bytes, ...content]
}

function buffer(content: readonly number[]): number[] {
  return [Op.BUFFER, ...withLength([...integer(content.length), ...content])]
}

function integer(value: number): number[] {
  if (value === 0) return [Op.ZERO]
  if (value === 1) return [Op.ONE]
  if (value < 0x100) return [Op.BYTE, value]
  if (value < 0x1_0000) return [Op.WORD, ...u16(value)]
  return [Op.DWORD, ...u32(value)]
}

/** Four characters, filled with underscores. */
function nameSegment(name: string): number[] {
  if (!/^[A-Z_][A-Z0-9_]{0,3}$/.test(name)) {
    throw new RangeError(`${JSON.stringify(name)} is no ACPI name segment`)
  }
  return ascii(name.padEnd(4, '_'))
}

/** `\SEG_` or `\SEG_.SEG_`: one or two segments below the root. */
function rootPath(path: string): number[] {
  if (!path.startsWith('\\')) throw new RangeError(`${JSON.stringify(path)} is no absolute path`)
  const segments = path.slice(1).split('.')
  if (segments.length > 2) throw new RangeError(`${JSON.stringify(path)} is too deep`)
  const prefix = segments.length === 2 ? [Op.DUAL_NAME] : []
  return [...ascii('\\'), ...prefix, ...segments.flatMap(nameSegment)]
}

/** `PNP0501`: three letters in five bits each, then four digits, compressed big-endian. */
function eisaId(id: string): number[] {
  if (!/^[A-Z]{3}[0-9A-F]{4}$/.test(id)) throw new RangeError(`${id} is no EISA id`)
  const [a, b, c] = ascii(id).map((code) => code - 0x40)
  const vendor = (a! << 10) | (b! << 5) | c!
  const product = Number.parseInt(id.slice(3), 16)
  return [vendor >>> 8, vendor & 0xff, product >>> 8, product & 0xff]
}

export function ascii(text: string): number[] {
  return Array.from(text, (character) => character.charCodeAt(0) & 0x7f)
}

export function u16(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff]
}

export function u32(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, (value >>> 24) & 0xff]
}
