// Finds a pointer's fields in a HID report descriptor (USB HID 1.11, section 6.2.2), so that the driver reads
// whatever layout the host describes instead of trusting that it is the usual one.
//
// A descriptor is a list of short items: a prefix byte (size in bits 0-1, type in 2-3, tag in 4-7) and 0, 1, 2
// or 4 bytes of data. Global items stay in force until changed; local ones until the next main item.

/** Where one field lies in a report, in bits. */
export interface ReportField {
  readonly bitOffset: number
  /** 1..32. */
  readonly bitSize: number
  readonly isSigned: boolean
}

/** The layout of a pointer's report. */
export interface PointerReport {
  /** Bytes of a whole report. */
  readonly sizeBytes: number
  /** One field a button, the first is the left one; at most 8. */
  readonly buttons: readonly ReportField[]
  readonly x: ReportField
  readonly y: ReportField
  /** Null when the pointer has no wheel. */
  readonly wheel: ReportField | null
}

const ITEM_INPUT = 0x80
const ITEM_USAGE_PAGE = 0x04
const ITEM_LOGICAL_MINIMUM = 0x14
const ITEM_REPORT_SIZE = 0x74
const ITEM_REPORT_ID = 0x84
const ITEM_REPORT_COUNT = 0x94
const ITEM_USAGE = 0x08
const ITEM_USAGE_MINIMUM = 0x18
const ITEM_USAGE_MAXIMUM = 0x28
const ITEM_LONG = 0xfe
/** Bits 2 and 3 of a prefix: main items are 0. */
const TYPE_MASK = 0x0c
const INPUT_CONSTANT = 0x1

const PAGE_GENERIC_DESKTOP = 0x01
const PAGE_BUTTON = 0x09
const USAGE_X = 0x30
const USAGE_Y = 0x31
const USAGE_WHEEL = 0x38

const BUTTONS_MAX = 8
/** Usages that one main item may have here. */
const USAGES_MAX = 64
/** Bits of a report: more than a device this simple can mean. */
const REPORT_BITS_MAX = 64 * 8

interface ReadState {
  usagePage: number
  isSigned: boolean
  reportSize: number
  reportCount: number
  usages: number[]
  usageMinimum: number
  bits: number
  buttons: ReportField[]
  x: ReportField | null
  y: ReportField | null
  wheel: ReportField | null
}

/** Reads a report descriptor. Null when it describes no pointer that this driver can read. */
export function parsePointerReport(descriptor: Uint8Array): PointerReport | null {
  const state: ReadState = {
    usagePage: 0,
    isSigned: false,
    reportSize: 0,
    reportCount: 0,
    usages: [],
    usageMinimum: 0,
    bits: 0,
    buttons: [],
    x: null,
    y: null,
    wheel: null,
  }
  let at = 0
  while (at < descriptor.length) {
    const prefix = descriptor[at] ?? 0
    if (prefix === ITEM_LONG) return null
    const size = (prefix & 3) === 3 ? 4 : prefix & 3
    if (size > descriptor.length - at - 1) return null
    const value = readValue(descriptor, at + 1, size)
    if (!applyItem(state, prefix & ~3 & 0xff, value, size)) return null
    at += 1 + size
  }
  const { x, y } = state
  if (x === null || y === null) return null
  return {
    sizeBytes: Math.ceil(state.bits / 8),
    buttons: state.buttons,
    x,
    y,
    wheel: state.wheel,
  }
}

/** Reads a field of a report at `at`; the caller has checked that the report is whole. */
export function readReportField(view: DataView, at: number, field: ReportField): number {
  let value = 0
  for (let bit = 0; bit < field.bitSize; bit++) {
    const position = field.bitOffset + bit
    const isSet = (view.getUint8(at + (position >>> 3)) >>> (position & 7)) & 1
    value += isSet * 2 ** bit
  }
  const half = 2 ** (field.bitSize - 1)
  return field.isSigned && value >= half ? value - 2 * half : value
}

/** False when the descriptor asks for what this reader does not do. */
function applyItem(state: ReadState, item: number, value: number, size: number): boolean {
  switch (item) {
    case ITEM_USAGE_PAGE:
      state.usagePage = value
      return true
    case ITEM_LOGICAL_MINIMUM:
      state.isSigned = size > 0 && value >= 2 ** (8 * size - 1)
      return true
    case ITEM_REPORT_SIZE:
      state.reportSize = value
      return true
    case ITEM_REPORT_COUNT:
      state.reportCount = value
      return true
    case ITEM_REPORT_ID:
      // Several kinds of report on one pipe: not a plain pointer.
      return false
    case ITEM_USAGE:
      state.usages.push(value)
      return state.usages.length <= USAGES_MAX
    case ITEM_USAGE_MINIMUM:
      state.usageMinimum = value
      return true
    case ITEM_USAGE_MAXIMUM:
      if (value < state.usageMinimum || value - state.usageMinimum >= USAGES_MAX) return false
      for (let usage = state.usageMinimum; usage <= value; usage++) state.usages.push(usage)
      return state.usages.length <= USAGES_MAX
    case ITEM_INPUT:
      return addInput(state, value)
    default:
      if ((item & TYPE_MASK) === 0) state.usages = []
      return true
  }
}

function addInput(state: ReadState, flags: number): boolean {
  const { reportSize, reportCount, usages } = state
  if (reportSize > 32 || reportCount > REPORT_BITS_MAX) return false
  if (state.bits + reportSize * reportCount > REPORT_BITS_MAX) return false
  if ((flags & INPUT_CONSTANT) === 0 && reportSize > 0) {
    for (let index = 0; index < reportCount; index++) {
      // The last usage stands for the rest (section 6.2.2.8).
      const usage = usages[index] ?? usages.at(-1) ?? 0
      const bitOffset = state.bits + index * reportSize
      addField(state, usage, { bitOffset, bitSize: reportSize, isSigned: state.isSigned })
    }
  }
  state.bits += reportSize * reportCount
  state.usages = []
  return true
}

function addField(state: ReadState, usage: number, field: ReportField): void {
  if (state.usagePage === PAGE_BUTTON) {
    if (state.buttons.length < BUTTONS_MAX) state.buttons.push(field)
  } else if (state.usagePage === PAGE_GENERIC_DESKTOP) {
    if (usage === USAGE_X) state.x = field
    else if (usage === USAGE_Y) state.y = field
    else if (usage === USAGE_WHEEL) state.wheel = field
  }
}

function readValue(bytes: Uint8Array, at: number, size: number): number {
  let value = 0
  for (let index = 0; index < size; index++) value += (bytes[at + index] ?? 0) * 2 ** (8 * index)
  return value
}
