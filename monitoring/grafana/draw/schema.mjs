#!/usr/bin/env node
// Validates dashboards against the JSON schema that Grafana's own types make: node schema.mjs dashboard.json ...
import Ajv from 'ajv';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createGenerator } from 'ts-json-schema-generator';
import { here } from './build.mjs';

const require = createRequire(import.meta.url);

/** The schema takes some seconds to make, so it is kept, under the version of Grafana that it is of. */
function schema() {
  const { version } = require('@grafana/schema/package.json');
  const kept = join(here, 'out', `dashboard-schema-${version}.json`);
  if (!existsSync(kept)) {
    const types = join(dirname(require.resolve('@grafana/schema/package.json')), 'dist/types/raw/dashboard/x/types.gen.d.ts');
    // No type check: a dashboard's types stand alone, and those of the whole package would take long.
    const generated = createGenerator({ path: types, type: 'Dashboard', skipTypeCheck: true }).createSchema('Dashboard');
    mkdirSync(join(here, 'out'), { recursive: true });
    writeFileSync(kept, JSON.stringify(generated, null, 1));
  }
  return JSON.parse(readFileSync(kept, 'utf8'));
}

/**
 * Grafana's types do not say all: data sources put fields of their own into annotations and variables.
 * And a panel that is not a row should be judged as a panel, not as "neither a panel nor a row".
 */
function amend(schema) {
  for (const open of ['AnnotationQuery', 'VariableModel']) schema.definitions[open].additionalProperties = true;
  chooseByType(schema.definitions, schema.definitions.Dashboard.properties.panels.items);
  chooseByType(schema.definitions, schema.definitions.ValueMapping);
  return schema;
}

/** Turns "any of these" into "the one that has this type, or else the one that takes any type". */
function chooseByType(definitions, node) {
  const tagOf = ({ $ref }) => definitions[$ref.split('/').pop()].properties.type.const;
  const tagged = node.anyOf.filter(tagOf);
  const other = node.anyOf.find((one) => !tagOf(one)) ?? { properties: { type: { enum: tagged.map(tagOf) } } };
  delete node.anyOf;
  const isOf = (one) => ({ properties: { type: { const: tagOf(one) } }, required: ['type'] });
  Object.assign(node, tagged.reduce((rest, one) => ({ if: isOf(one), then: one, else: rest }), other));
}

/** "panels/3" says little to a reader: add the title of the panel. */
function whereIn(dashboard, path) {
  const steps = path.split('/').slice(1);
  let at = dashboard;
  let title = '';
  for (const step of steps) {
    at = at?.[step];
    if (at?.gridPos) title = ` (${at.type} "${at.title ?? ''}")`;
  }
  return `${steps.join('.') || 'dashboard'}${title}`;
}

function describe({ keyword, message, params }) {
  if (keyword === 'additionalProperties') return `has the unknown property "${params.additionalProperty}"`;
  if (keyword === 'enum') return `${message}: ${params.allowedValues.join(', ')}`;
  return message;
}

const files = process.argv.slice(2);
if (!files.length) {
  console.error('node schema.mjs dashboard.json ...');
  process.exit(2);
}
const validate = new Ajv({ allErrors: true, allowUnionTypes: true, strict: false }).compile(amend(schema()));
for (const file of files) {
  try {
    const dashboard = JSON.parse(readFileSync(file, 'utf8'));
    if (validate(dashboard)) continue;
    process.exitCode = 1;
    const lines = validate.errors
      .filter(({ keyword }) => keyword !== 'if')
      .map((error) => `${file}: ${whereIn(dashboard, error.instancePath)} ${describe(error)}`);
    for (const line of new Set(lines)) console.error(line);
  } catch (error) {
    process.exitCode = 1;
    console.error(`${file}: ${error.message}`);
  }
}
if (!process.exitCode) console.log(`${files.length} dashboards fit Grafana's schema`);
