// Measures, libraries, value sets and patients of a deck laid out like ../shared/ecqm (see benchmarks/README.md),
// as the plain JSON that FHIR tools take. Nothing is written; the deck is only read.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

const text = path => gunzipSync(readFileSync(path)).toString('utf8');
const json = path => JSON.parse(text(path));
const lines = path => text(path).split('\n').filter(Boolean);

/** The ELM of a FHIR Library resource. */
export function elmOf(library) {
  const content = library.content.find(c => c.contentType === 'application/elm+json');
  return JSON.parse(Buffer.from(content.data, 'base64').toString('utf8'));
}

/** Everything a measure needs: { measure, library, libraries, elms, valueSets }, the main library first. */
export function load(deck, name) {
  const measure = json(join(deck, 'measures', `${name}.json.gz`));
  const libraries = new Map();
  const elms = new Map();
  // A measure's library has its name; its version may be written otherwise than the measure's.
  const file = readdirSync(join(deck, 'libraries')).find(f => f.startsWith(`${name}-`));
  const wanted = [file.replace('.json.gz', '')];
  while (wanted.length > 0) {
    const key = wanted.shift();
    if (libraries.has(key)) continue;
    const library = json(join(deck, 'libraries', `${key}.json.gz`));
    const elm = elmOf(library);
    libraries.set(key, library);
    elms.set(key, elm);
    for (const include of elm.library.includes?.def ?? []) {
      wanted.push(`${include.path.split('/').pop()}-${include.version}`);
    }
  }
  const named = new Set();
  for (const elm of elms.values()) {
    for (const valueSet of elm.library.valueSets?.def ?? []) named.add(valueSet.id);
  }
  const valueSets = lines(join(deck, 'valuesets.ndjson.gz'))
    .map(line => JSON.parse(line))
    .filter(valueSet => named.has(valueSet.url));
  const published = new Set(valueSets.map(valueSet => valueSet.url));
  for (const url of named) {
    if (!published.has(url)) {
      valueSets.push({ resourceType: 'ValueSet', url, status: 'active', expansion: { contains: [] } });
    }
  }
  return { measure, libraries: [...libraries.values()], elms: [...elms.values()], valueSets };
}

/** A FHIR Bundle of a measure with its libraries and value sets. */
export function measureBundle({ measure, libraries, valueSets }) {
  const main = measure.library[0].split('|')[0];
  const resources = [{ ...measure, library: [main] }, ...libraries, ...valueSets];
  return { resourceType: 'Bundle', type: 'collection', entry: resources.map(resource => ({ resource })) };
}

/** The official test cases of a measure: { id, text, expected }, text being one patient's Bundle as JSON. */
export function cases(deck, name) {
  return lines(join(deck, 'cases', `${name}.ndjson.gz`)).map(line => {
    const { id, resources, expected } = JSON.parse(line);
    const report = Array.isArray(expected) ? expected[0] : expected;
    return { id, text: JSON.stringify(patientBundle(resources)), expected: report };
  });
}

/** Patients from a file of Bundles, one a line. */
export function patientFile(path) {
  const content = path.endsWith('.gz') ? text(path) : readFileSync(path, 'utf8');
  return content.split('\n').filter(Boolean).map((line, index) => ({ id: String(index), text: line }));
}

function patientBundle(resources) {
  return {
    resourceType: 'Bundle',
    type: 'collection',
    entry: resources.map(resource => ({
      fullUrl: `https://example.org/fhir/${resource.resourceType}/${resource.id}`,
      resource
    }))
  };
}
