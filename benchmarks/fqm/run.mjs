// Times fqm-execution and its bare engine, cql-execution with cql-exec-fhir, on one official measure.
//
//   npm ci
//   taskset -c 0 node --expose-gc run.mjs --measure CMS122FHIRDiabetesAssessGreaterThan9Percent
//
// Options: --deck DIR (default: ../shared/ecqm beside the repository), --measure NAME (may be repeated),
// --patients FILE (Bundles, one a line, instead of the measure's own cases), --repetitions N (default 7),
// --pass NAME (one of those below; may be repeated; default: all).
//
// Prints one JSON object a measure. Every figure is in milliseconds a patient; the time of one repetition is
// that of the whole set of patients divided by their number, JSON.parse of every patient's text included, and
// the figure is the median of the repetitions after two unmeasured passes. `ms`, `least` and `greatest` are
// time by the clock, `cpu_ms` and `cpu_least` the process's CPU time.
//
//   json          JSON.parse alone
//   each          Calculator.calculate, one call a patient
//   batch         Calculator.calculate, one call for all patients
//   engine_each   cql-execution's Executor over a PatientSource of cql-exec-fhir, made anew for each patient
//   engine_batch  the same over one PatientSource that holds all patients
//
// The bare engine evaluates every definition of the main library, supplemental data included.
//
// fqm-execution runs with what its README offers to make it fast: no HTML, no clause coverage, no supplemental
// data, no risk adjustment, slim results, cached ELM. It also yields statement results, which none of these
// switch off.

import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import cql from 'cql-execution';
import fhir from 'cql-exec-fhir';
import { Calculator } from 'fqm-execution';
import { cases, load, measureBundle, patientFile } from './content.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);

const { values: options } = parseArgs({
  options: {
    deck: { type: 'string', default: resolve(here, '../../../shared/ecqm') },
    measure: { type: 'string', multiple: true, default: ['CMS122FHIRDiabetesAssessGreaterThan9Percent'] },
    patients: { type: 'string' },
    repetitions: { type: 'string', default: '7' },
    pass: { type: 'string', multiple: true }
  }
});

const FASTEST = {
  calculateHTML: false,
  calculateClauseCoverage: false,
  calculateClauseUncoverage: false,
  calculateCoverageDetails: false,
  calculateSDEs: false,
  calculateRAVs: false,
  includeClauseResults: false,
  verboseCalculationResults: false,
  useElmJsonsCaching: true
};

const POPULATIONS = new Set([
  'initial-population',
  'denominator',
  'denominator-exclusion',
  'denominator-exception',
  'numerator',
  'numerator-exclusion'
]);

const median = numbers => {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};
const round = number => Number(number.toPrecision(4));
const version = name => {
  // Packages that export no package.json are found beside their entry point.
  let folder = dirname(require.resolve(name));
  for (;;) {
    try {
      const found = require(join(folder, 'package.json'));
      if (found.name === name) return found.version;
    } catch {
      // not this folder
    }
    folder = dirname(folder);
  }
};

/** Median, least and greatest milliseconds a patient by the clock, median and least of CPU time. */
async function time(pass, patients, repetitions) {
  await pass();
  await pass();
  const took = [];
  const worked = [];
  for (let repetition = 0; repetition < repetitions; repetition++) {
    globalThis.gc?.();
    const before = process.cpuUsage();
    const start = process.hrtime.bigint();
    await pass();
    took.push(Number(process.hrtime.bigint() - start) / 1e6 / patients);
    const { user, system } = process.cpuUsage(before);
    worked.push((user + system) / 1e3 / patients);
  }
  return {
    ms: round(median(took)),
    least: round(Math.min(...took)),
    greatest: round(Math.max(...took)),
    cpu_ms: round(median(worked)),
    cpu_least: round(Math.min(...worked))
  };
}

/** Which cases get the populations their expected report has; only for patient-based measures. */
function agreement(results, patients, measure) {
  const groups = measure.group;
  let agree = 0;
  let compared = 0;
  patients.forEach(({ expected }, index) => {
    if (!expected) return;
    compared += 1;
    const detailed = results[index]?.detailedResults ?? [];
    const same = expected.group.every((group, g) => {
      const got = detailed.find(d => d.groupId === groups[g].id) ?? detailed[g];
      return group.population.every(population => {
        const code = population.code.coding[0].code;
        if (!POPULATIONS.has(code)) return true;
        const found = got?.populationResults?.find(p => p.populationType === code);
        return Boolean(found?.result) === population.count > 0;
      });
    });
    if (same) agree += 1;
  });
  return { compared, agree };
}

async function benchmark(deck, name, repetitions) {
  const content = load(deck, name);
  const bundle = measureBundle(content);
  const patients = options.patients ? patientFile(options.patients) : cases(deck, name);
  const texts = patients.map(patient => patient.text);
  const year = content.measure.effectivePeriod.start.slice(0, 4);
  const period = { measurementPeriodStart: `${year}-01-01`, measurementPeriodEnd: `${year}-12-31` };
  const settings = { ...FASTEST, ...period };

  const { results } = await Calculator.calculate(structuredClone(bundle), texts.map(text => JSON.parse(text)), {
    ...settings
  });
  const byPatient = new Map(results.map(result => [result.patientId, result]));
  const inOrder = texts.map(text => {
    const entry = JSON.parse(text).entry.find(e => e.resource.resourceType === 'Patient');
    return byPatient.get(entry.resource.id);
  });

  const [main, ...others] = content.elms;
  const library = new cql.Library(main, new cql.Repository([main, ...others]));
  const codes = Object.fromEntries(
    content.valueSets.map(valueSet => [
      valueSet.url,
      {
        [valueSet.version ?? '']: (valueSet.expansion?.contains ?? []).map(({ code, system, version }) => ({
          code,
          system,
          version
        }))
      }
    ])
  );
  const parameters = {
    'Measurement Period': new cql.Interval(
      new cql.DateTime(Number(year), 1, 1, 0, 0, 0, 0, 0),
      new cql.DateTime(Number(year), 12, 31, 23, 59, 59, 999, 0)
    )
  };
  const executor = new cql.Executor(library, new cql.CodeService(codes), parameters);
  const initial = content.measure.group[0].population[0].criteria.expression;
  let inInitialPopulation = 0;

  const source = some => {
    const patientSource = fhir.PatientSource.FHIRv401({ requireProfileTagging: true });
    patientSource.loadBundles(some.map(text => JSON.parse(text)));
    return patientSource;
  };
  const { patientResults } = await executor.exec(source(texts));
  for (const { [initial]: value } of Object.values(patientResults)) {
    if (value === true || (Array.isArray(value) && value.length > 0)) inInitialPopulation += 1;
  }

  const passes = {
    json: () => texts.forEach(text => JSON.parse(text)),
    each: async () => {
      for (const text of texts) await Calculator.calculate(bundle, [JSON.parse(text)], settings);
    },
    batch: () => Calculator.calculate(bundle, texts.map(text => JSON.parse(text)), settings),
    engine_each: async () => {
      for (const text of texts) await executor.exec(source([text]));
    },
    engine_batch: () => executor.exec(source(texts))
  };
  const times = {};
  for (const [pass, run] of Object.entries(passes)) {
    if (options.pass?.includes(pass) ?? true) times[pass] = await time(run, texts.length, repetitions);
  }

  return {
    measure: name,
    patients: texts.length,
    mean_bytes: Math.round(texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0) / texts.length),
    repetitions,
    versions: {
      node: process.version,
      'fqm-execution': version('fqm-execution'),
      'cql-execution': version('cql-execution'),
      'cql-exec-fhir': version('cql-exec-fhir')
    },
    options: FASTEST,
    ms_per_patient: times,
    fqm_agrees_with_expected: agreement(inOrder, patients, content.measure),
    engine_initial_population: inInitialPopulation,
    peak_memory_mb: Math.round(process.resourceUsage().maxRSS / 1024)
  };
}

if (!existsSync(options.deck)) {
  console.error(`${options.deck} is not there. Name the folder of measures, libraries, value sets and cases with --deck.`);
  process.exit(2);
}
for (const name of options.measure) {
  const report = await benchmark(options.deck, name, Number(options.repetitions));
  console.log(JSON.stringify(report, null, 2));
}
