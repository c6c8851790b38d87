/**
 * The layers, the two families and the doors, held by `npm run layers`; test/layers.test.ts shows that
 * each rule below sees what it forbids. A package goes into the table before its first file does.
 */
const { existsSync, readdirSync } = require('node:fs')

/** A package imports only from rows below its own: nothing beside it, nothing above it. */
const ROWS = [
  ['hvdef'],
  ['guestmem', 'trace', 'tcpip'],
  ['hypervisor', 'ring'],
  ['vmbus', 'engine'],
  ['input', 'load-device', 'storage', 'network', 'video', 'integration-services'],
  ['root-partition', 'child-partition', 'x86-partition'],
  ['management'],
  ['scenario'],
  ['cli', 'console'],
]

/** Rows 0 to 4 run anywhere, a web page included. */
const CORE = ROWS.slice(0, 5).flat()

/** What is Node's own lives behind a door of its own: ring/node, engine/node. */
const NODE_DOOR = '^packages/[^/]+/src/node(/|[.]ts$)'

const HOST_FAMILY = [
  '^packages/(root-partition|management)/src/',
  '^packages/vmbus/src/server(/|[.]ts$)',
  '^packages/[^/]+/src/vsp(/|[.]ts$)',
]
const GUEST_FAMILY = [
  '^packages/(child-partition|x86-partition)/src/',
  '^packages/vmbus/src/client(/|[.]ts$)',
  '^packages/[^/]+/src/vsc(/|[.]ts$)',
]

/** The one exception between the families: whoever starts a guest's worker speaks its start message, and knows what its partition must be like. */
const WORKER_STARTER = '^packages/management/src/vmwp(/|[.]ts$)'
const WORKER_PROTOCOL = '^packages/(child-partition|x86-partition)/src/worker-protocol[.]ts$'

const rowsByName = new Map(ROWS.flatMap((names, row) => names.map((name) => [name, row])))
if (existsSync('packages')) {
  const unknown = readdirSync('packages').filter((name) => !rowsByName.has(name))
  if (unknown.length > 0) {
    throw new Error(`no row in .dependency-cruiser.cjs for packages/${unknown.join(', packages/')}`)
  }
}

const layerRules = [...rowsByName].map(([name, row]) => ({
  name: `row-${row}-${name}`,
  comment: `${name} is in row ${row} and imports only from the rows below it (ARCHITECTURE.md).`,
  severity: 'error',
  from: { path: `^packages/${name}/` },
  to: {
    path: `^packages/(${ROWS.slice(row)
      .flat()
      .filter((other) => other !== name)
      .join('|')})/`,
  },
}))

module.exports = {
  forbidden: [
    ...layerRules,
    {
      name: 'host-imports-guest',
      comment:
        'The host family never imports the guest family: they meet in protocol files and shared memory.',
      severity: 'error',
      from: { path: HOST_FAMILY, pathNot: WORKER_STARTER },
      to: { path: GUEST_FAMILY },
    },
    {
      name: 'vmwp-imports-guest',
      comment:
        "management/src/vmwp may import child-partition's ./worker-protocol and nothing else of a guest.",
      severity: 'error',
      from: { path: WORKER_STARTER },
      to: { path: GUEST_FAMILY, pathNot: WORKER_PROTOCOL },
    },
    {
      name: 'guest-imports-host',
      comment:
        'The guest family never imports the host family: they meet in protocol files and shared memory.',
      severity: 'error',
      from: { path: GUEST_FAMILY },
      to: { path: HOST_FAMILY },
    },
    {
      name: 'shared-room-imports-family',
      comment:
        'What both families import (a device index or protocol, the vmbus index) would carry one into the other.',
      severity: 'error',
      from: {
        path: '^packages/(vmbus|input|load-device|storage|network|video|integration-services)/src/',
        pathNot: [...HOST_FAMILY, ...GUEST_FAMILY, '^packages/[^/]+/src/testing(/|[.]ts$)'],
      },
      to: { path: [...HOST_FAMILY, ...GUEST_FAMILY] },
    },
    {
      name: 'core-imports-node',
      comment:
        "The core runs in a web page too: what is Node's is handed in, or has a door of its own (ring/node).",
      severity: 'error',
      from: { path: `^packages/(${CORE.join('|')})/src/`, pathNot: NODE_DOOR },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'core-imports-node-door',
      comment:
        'The rest of a core package stands without its node door, and may not carry it along.',
      severity: 'error',
      from: { path: `^packages/(${CORE.join('|')})/src/`, pathNot: NODE_DOOR },
      to: { path: NODE_DOOR },
    },
    {
      name: 'past-the-doors',
      comment:
        'Another package is imported by its name, through a door that its exports name, never by a path.',
      severity: 'error',
      from: { path: '^packages/([^/]+)/' },
      to: { path: '^packages/', pathNot: '^packages/$1/', dependencyTypes: ['local'] },
    },
    {
      name: 'past-the-doors-from-the-root',
      comment: 'Scripts and tests at the root import packages by name, as a user would.',
      severity: 'error',
      from: { path: '^(scripts|test|scenarios)/' },
      to: { path: '^packages/', dependencyTypes: ['local'] },
    },
    {
      name: 'source-imports-tests',
      comment: 'What ships never loads fakes, contracts, tests, benches or examples.',
      severity: 'error',
      from: { path: '^packages/[^/]+/src/', pathNot: '^packages/[^/]+/src/testing(/|[.]ts$)' },
      to: {
        path: [
          '^packages/[^/]+/src/testing(/|[.]ts$)',
          '^packages/[^/]+/(test|bench|examples)/',
          '^(test|scripts)/',
        ],
      },
    },
    {
      name: 'no-cycles',
      comment:
        'Files that import each other in a ring can be neither read nor loaded in order; types included.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'unresolvable',
      comment:
        'The import leads nowhere: no such file, no such door in the exports, or no such dependency.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    parser: 'tsc',
    tsPreCompilationDeps: true, // type imports count
    detectProcessBuiltinModuleCalls: true,
    exclude: { path: '/dist/' },
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.mjs', '.cjs', '.json'],
    },
  },
}
