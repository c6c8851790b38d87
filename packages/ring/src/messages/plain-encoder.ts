// HOT. Encodes plain data (objects, arrays, strings, numbers, booleans, null, undefined) as msgpack with msgpackr's records, several times
// faster than msgpackr does. msgpackr decodes it, and encodes everything else: see objects-codec.ts.
//
// An object is written as the id of its shape, then its values. A shape is the list of the object's keys; its id and keys go out with the
// first object that has it:
//
//   D4 72 id [array of keys] value…       first object of a shape (msgpackr's record definition)
//   id value…                             later ones; ids are 0x40 … 0x7F, so small integers end at 0x3F
//
// Values are written before their object's shape is known, so an object inside another of the same shape is the first to tell it. The outer
// one, which is read earlier, then tells the shape again, under the same id.
//
// Shapes are found by walking a tree along the object's keys, while its values are written; each node remembers the child taken last.

const FIRST_ID = 0x40
const LAST_ID = 0x7f
const DEPTH_MAX = 64
const NODES_MAX = 4096
/** Room that must be left for any header and number: 9 bytes for a double, 5 for a header. */
const SPARE_BYTES = 16
/** Strings shorter than this are copied by a loop, if they are ASCII. */
const LOOP_CHARACTERS = 64
const BYTES_PER_CHARACTER = 3

/** `encode` answers this when the value is not plain data, or does not fit. */
export const NOT_PLAIN = -1

const PLAIN_PROTOTYPE: unknown = Object.prototype
const encoder = new TextEncoder()

/** A list of keys, as the path from the root; a shape when objects ended here. */
class ShapeNode {
  readonly parent: ShapeNode | undefined
  readonly key: string
  readonly children: Map<string, ShapeNode> = new Map()
  /** The child taken last. */
  hintKey = ''
  hint: ShapeNode | undefined = undefined
  /** Id the receiver knows this shape by; 0 when it does not. */
  id = 0
  /** Message that told the shape last, and where in it: no later than the definition stands by now. */
  toldIn = 0
  toldAt = 0

  constructor(parent: ShapeNode | undefined, key: string) {
    this.parent = parent
    this.key = key
  }
}

export class PlainEncoder {
  #root = new ShapeNode(undefined, '')
  #nextId = FIRST_ID
  #nodes = 0
  #bytes: Uint8Array = new Uint8Array(0)
  #view: DataView = new DataView(new ArrayBuffer(0))
  #limit = 0
  #at = 0
  #depth = 0
  #defined = false
  #message = 0

  /** Encodes into `bytes` from its start. Returns the length, or NOT_PLAIN; the shapes are as before then. */
  encode(value: unknown, bytes: Uint8Array): number {
    if (bytes !== this.#bytes) this.#map(bytes)
    this.#at = 0
    this.#depth = 0
    this.#defined = false
    this.#message++
    const written = this.#write(value)
    const outOfShapes = this.#nextId > LAST_ID || this.#nodes > NODES_MAX
    if (outOfShapes || (!written && this.#defined)) this.forget()
    return written ? this.#at : NOT_PLAIN
  }

  /** Starts anew: the receiver may not have seen what was encoded. Shapes will be told again, under any id. */
  forget(): void {
    this.#root = new ShapeNode(undefined, '')
    this.#nextId = FIRST_ID
    this.#nodes = 0
  }

  #map(bytes: Uint8Array): void {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#limit = bytes.length - SPARE_BYTES
  }

  #write(value: unknown): boolean {
    if (this.#at > this.#limit) return false
    switch (typeof value) {
      case 'string':
        return this.#writeString(value)
      case 'number':
        this.#writeNumber(value)
        return true
      case 'boolean':
        this.#bytes[this.#at++] = value ? 0xc3 : 0xc2
        return true
      case 'object':
        if (value === null) this.#bytes[this.#at++] = 0xc0
        else return this.#writeObject(value)
        return true
      case 'undefined':
        this.#bytes[this.#at] = 0xd4
        this.#bytes[this.#at + 1] = 0
        this.#bytes[this.#at + 2] = 0
        this.#at += 3
        return true
      case 'bigint':
      case 'symbol':
      case 'function':
        return false
      default:
        return false
    }
  }

  #writeObject(value: object): boolean {
    if (++this.#depth > DEPTH_MAX) return false
    let written = false
    if (Array.isArray(value)) written = this.#writeArray(value)
    else if (Object.getPrototypeOf(value) === PLAIN_PROTOTYPE) {
      written = this.#writeRecord(value as Record<string, unknown>)
    }
    this.#depth--
    return written
  }

  #writeRecord(value: Record<string, unknown>): boolean {
    const start = this.#at++
    let node = this.#root
    for (const key in value) {
      node = node.hintKey === key && node.hint !== undefined ? node.hint : this.#child(node, key)
      if (!this.#write(value[key])) return false
    }
    const toldWithin = node.toldIn === this.#message && node.toldAt > start
    if (node.id !== 0 && !toldWithin) {
      this.#bytes[start] = node.id
      return true
    }
    return this.#define(node, start)
  }

  #child(node: ShapeNode, key: string): ShapeNode {
    let child = node.children.get(key)
    if (child === undefined) {
      child = new ShapeNode(node, key)
      node.children.set(key, child)
      this.#nodes++
    }
    node.hintKey = key
    node.hint = child
    return child
  }

  /** Puts the definition of a new shape before the values, which were written from `start + 1` on. */
  #define(shape: ShapeNode, start: number): boolean {
    const keys: string[] = []
    for (let node = shape; node.parent !== undefined; node = node.parent) keys.unshift(node.key)
    const valuesEnd = this.#at
    const id = shape.id === 0 ? this.#nextId : shape.id
    // No id changes its meaning within a message: the definition of an outer object is put before inner ones that
    // were written, and may use ids, earlier. Out of ids, this message goes another way and the next starts anew.
    if (id > LAST_ID || valuesEnd > this.#limit) return false
    this.#defined = true
    this.#bytes[this.#at++] = 0xd4
    this.#bytes[this.#at++] = 0x72
    this.#bytes[this.#at++] = id
    if (!this.#writeArray(keys)) return false
    const definition = new Uint8Array(this.#bytes.subarray(valuesEnd, this.#at))
    if (this.#at - 1 > this.#limit) return false
    this.#bytes.copyWithin(start + definition.length, start + 1, valuesEnd)
    this.#bytes.set(definition, start)
    this.#at--
    if (shape.id === 0) this.#nextId = id + 1
    shape.id = id
    shape.toldIn = this.#message
    shape.toldAt = start
    return true
  }

  #writeArray(values: readonly unknown[]): boolean {
    const { length } = values
    const bytes = this.#bytes
    if (this.#at > this.#limit) return false
    if (length < 16) bytes[this.#at++] = 0x90 | length
    else if (length < 0x10000) {
      bytes[this.#at] = 0xdc
      this.#view.setUint16(this.#at + 1, length)
      this.#at += 3
    } else return false
    for (let i = 0; i < length; i++) {
      if (!this.#write(values[i])) return false
    }
    return true
  }

  #writeNumber(value: number): void {
    const bytes = this.#bytes
    if (value >>> 0 === value && (value !== 0 || 1 / value > 0)) {
      if (value < FIRST_ID) bytes[this.#at++] = value
      else if (value < 0x100) {
        bytes[this.#at] = 0xcc
        bytes[this.#at + 1] = value
        this.#at += 2
      } else if (value < 0x10000) {
        bytes[this.#at] = 0xcd
        bytes[this.#at + 1] = value >>> 8
        bytes[this.#at + 2] = value
        this.#at += 3
      } else {
        bytes[this.#at] = 0xce
        this.#view.setUint32(this.#at + 1, value)
        this.#at += 5
      }
    } else if (value >> 0 === value && value !== 0) {
      if (value >= -32) bytes[this.#at++] = value
      else {
        bytes[this.#at] = 0xd2
        this.#view.setInt32(this.#at + 1, value)
        this.#at += 5
      }
    } else {
      bytes[this.#at] = 0xcb
      this.#view.setFloat64(this.#at + 1, value)
      this.#at += 9
    }
  }

  #writeString(text: string): boolean {
    const { length } = text
    if (this.#at + length * BYTES_PER_CHARACTER > this.#limit) return false
    if (length >= LOOP_CHARACTERS) return this.#writeLongString(text)
    const bytes = this.#bytes
    const head = length < 32 ? 1 : 2
    let to = this.#at + head
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i)
      if (code >= 0x80) return this.#writeLongString(text)
      bytes[to++] = code
    }
    if (head === 1) bytes[this.#at] = 0xa0 | length
    else {
      bytes[this.#at] = 0xd9
      bytes[this.#at + 1] = length
    }
    this.#at = to
    return true
  }

  #writeLongString(text: string): boolean {
    const at = this.#at
    const { written } = encoder.encodeInto(text, this.#bytes.subarray(at + 5))
    this.#bytes[at] = 0xdb
    this.#view.setUint32(at + 1, written)
    this.#at = at + 5 + written
    return true
  }
}
