// Draws one dashboard with Grafana's own components: asks Prometheus what Grafana would ask, and gives the answers to the same graphs, numbers and
// tables. It is no Grafana: no editing, no hovering, and of the transformations those that the dashboards use.
import { createDataFrame, createTheme, dateTime, FieldType, getDisplayProcessor, standardTransformers, standardTransformersRegistry, transformDataFrame } from '@grafana/data';
import { BigValue, GlobalStyles, PanelChrome, Table, ThemeContext, TimeSeries } from '@grafana/ui';
import React, { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { firstValueFrom } from 'rxjs';

const asked = new URLSearchParams(location.search);
const WIDTH = Number(asked.get('width'));
const END = Math.floor(Number(asked.get('end')));
const RANGE = Number(asked.get('range'));
const SCRAPED = Number(asked.get('scraped'));
const COLUMN = WIDTH / 24;
const CELL = 38;
const theme = createTheme({ colors: { mode: 'dark' } });
// Some stand there under two names.
const transformations = [...new Map(Object.values(standardTransformers).map((one) => [one.id, one])).values()];
standardTransformersRegistry.setInit(() => transformations.map((one) => ({ id: one.id, name: one.name, transformation: one, editor: () => null })));

// `$agent`, `${agent}` and Grafana's own.
function filled(expression, variables, step) {
  const own = { __rate_interval: `${Math.max(step + SCRAPED, 4 * SCRAPED)}s`, __interval: `${step}s`, __range: `${RANGE}s`, __range_s: String(RANGE) };
  return expression.replace(/\$\{?(\w+)(?::\w+)?\}?/g, (whole, name) => own[name] ?? variables[name] ?? whole);
}

async function prometheus(path, parameters) {
  const answer = await (await fetch(`/api/v1/${path}?${new URLSearchParams(parameters)}`)).json();
  if (answer.status !== 'success') throw new Error(`${parameters.query}: ${answer.error}`);
  return answer.data;
}

async function frames(panel, variables) {
  const step = Math.max(SCRAPED, Math.ceil(RANGE / 400));
  const all = await Promise.all((panel.targets ?? []).map(async (target) => {
    const query = filled(target.expr, variables, step);
    const data = target.instant
      ? await prometheus('query', { query, time: END })
      : await prometheus('query_range', { query, start: END - RANGE, end: END, step });
    if (target.format === 'table') return [table(target, data.result, panel.targets.length > 1 ? `Value #${target.refId}` : 'Value')];
    return data.result.map((series) => line(target, series, step));
  }));
  return all.flat();
}

// One row for each series, one column for each label: as Grafana's data source does for the format `table`.
function table(target, result, value) {
  const labels = [...new Set(result.flatMap((series) => Object.keys(series.metric)))].filter((name) => name !== '__name__').sort();
  return createDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: result.map(() => END * 1000) },
      ...labels.map((name) => ({ name, type: FieldType.string, values: result.map((series) => series.metric[name] ?? '') })),
      { name: value, type: FieldType.number, values: result.map((series) => Number(series.value[1])) },
    ],
  });
}

// A gap stays a gap.
function line(target, series, step) {
  const found = new Map((series.values ?? [series.value]).map(([time, value]) => [Math.round(time), Number(value)]));
  const times = [];
  for (let time = END - RANGE; time <= END; time += step) times.push(time);
  const name = (target.legendFormat ?? '').replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => series.metric[label] ?? '');
  const legend = name && name !== '__auto' ? name : Object.values(series.metric).join(' ') || target.expr;
  return createDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: times.map((time) => time * 1000) },
      { name: 'Value', type: FieldType.number, labels: series.metric, config: { displayNameFromDS: legend }, values: times.map((time) => (Number.isFinite(found.get(time)) ? found.get(time) : null)) },
    ],
  });
}

// What the panel says of its fields, all of them and by name.
function configured(panel, data) {
  let place = 0;
  const values = data.flatMap((frame) => frame.fields.filter((field) => field.type === FieldType.number).flatMap((field) => field.values)).filter((value) => value !== null);
  const [min, max] = values.length > 0 ? [Math.min(...values), Math.max(...values)] : [0, 1];
  const range = { min, max, delta: max - min };
  for (const frame of data) {
    for (const field of frame.fields) {
      const { links, ...defaults } = panel.fieldConfig?.defaults ?? {};
      const name = field.config.displayName ?? field.config.displayNameFromDS ?? field.name;
      const config = structuredClone({ ...defaults, custom: { ...defaults.custom } });
      for (const { matcher, properties } of panel.fieldConfig?.overrides ?? []) {
        if (matcher.id === 'byName' ? matcher.options !== name : !new RegExp(String(matcher.options).replace(/^\/|\/$/g, '')).test(name)) continue;
        for (const { id, value } of properties) {
          if (id === 'links') continue;
          if (id.startsWith('custom.')) config.custom[id.slice(7)] = value;
          else config[id] = value;
        }
      }
      field.config = { ...field.config, ...(field.type === FieldType.time ? {} : config) };
      if (field.type === FieldType.string) delete field.config.unit;
      field.state = { ...field.state, range, seriesIndex: field.type === FieldType.number ? place++ : undefined, displayName: field.config.displayName ?? field.config.displayNameFromDS };
      field.display = getDisplayProcessor({ field, theme, timeZone: 'utc' });
    }
  }
  return data;
}

function Numbers({ panel, data, width, height }) {
  const numbers = data.map((frame) => frame.fields.find((field) => field.type === FieldType.number)).filter(Boolean);
  if (numbers.length === 0) return <Nothing />;
  return (
    <div style={{ display: 'flex' }}>
      {numbers.map((field, place) => {
        const values = field.values.filter((value) => value !== null);
        const last = field.display(values.at(-1) ?? null);
        const title = numbers.length > 1 ? field.state.displayName : undefined;
        const sparkline = panel.options.graphMode === 'area' && values.length > 1 ? { y: field, x: data[place].fields[0] } : undefined;
        return <BigValue key={place} theme={theme} width={width / numbers.length} height={height} value={{ ...last, title }} sparkline={sparkline} colorMode={panel.options.colorMode} graphMode={panel.options.graphMode} textMode={panel.options.textMode} />;
      })}
    </div>
  );
}

function Nothing() {
  return <div style={{ padding: 16, color: theme.colors.text.secondary }}>No data</div>;
}

function Text({ panel }) {
  const paragraphs = panel.options.content.split(/\n\n+/);
  return <div style={{ padding: 8, lineHeight: 1.5 }}>{paragraphs.map((text, place) => <p key={place}>{text.replace(/[*_`#]|\[([^\]]*)\]\([^)]*\)/g, '$1')}</p>)}</div>;
}

function Content({ panel, data, width, height }) {
  if (panel.type === 'text') return <Text panel={panel} />;
  if (data.length === 0) return <Nothing />;
  if (panel.type === 'stat') return <Numbers {...{ panel, data, width, height }} />;
  if (panel.type === 'table') return <Table data={data[0]} width={width} height={height} initialSortBy={panel.options.sortBy} cellHeight={panel.options.cellHeight} />;
  const timeRange = { from: dateTime((END - RANGE) * 1000), to: dateTime(END * 1000), raw: { from: 'now-1h', to: 'now' } };
  const calcs = panel.options.legend?.calcs ?? [];
  for (const frame of data) for (const field of frame.fields) field.state.calcs = Object.fromEntries(calcs.map((id) => [id, field.values.filter((value) => value !== null).at(-1)]));
  return <TimeSeries {...{ width, height, timeRange }} timeZone="utc" frames={data} legend={{ ...panel.options.legend, calcs: [] }} />;
}

async function arranged(panel, data) {
  const wanted = (panel.transformations ?? []).filter((one) => !one.disabled);
  const made = wanted.length > 0 ? await firstValueFrom(transformDataFrame(wanted, data)) : data;
  return configured(panel, made);
}

// Rows that repeat are repeated, rows that are not wanted left out, and what stands below them moves.
async function placed(dashboard, chosen) {
  const wanted = asked.getAll('row');
  const all = [];
  let shift = 0;
  for (let at = 0; at < dashboard.panels.length; ) {
    const row = dashboard.panels[at];
    let end = at + 1;
    while (end < dashboard.panels.length && dashboard.panels[end].type !== 'row') end++;
    const section = dashboard.panels.slice(at, end);
    const height = Math.max(...section.map((panel) => panel.gridPos.y + panel.gridPos.h)) - row.gridPos.y;
    const isWanted = wanted.length === 0 || wanted.some((title) => row.title.startsWith(title));
    const values = !isWanted ? [] : row.repeat ? (chosen[row.repeat] ?? '.*').split('|') : [null];
    for (const [turn, value] of values.entries()) {
      const variables = value === null ? chosen : { ...chosen, [row.repeat]: value };
      for (const panel of section) all.push({ panel, variables, y: panel.gridPos.y + shift + turn * height });
    }
    shift += (values.length - 1) * height;
    at = end;
  }
  return Promise.all(all.map(async (one) => ({ ...one, data: one.panel.type === 'row' ? [] : await arranged(one.panel, await frames(one.panel, one.variables)) })));
}

function Page({ dashboard, panels, chosen }) {
  const bottom = Math.max(...panels.map(({ panel, y }) => y + panel.gridPos.h)) * CELL;
  useEffect(() => { setTimeout(() => { window.drawn = true; }, 3000); }, []);
  const shown = (dashboard.templating?.list ?? []).filter((variable) => variable.hide !== 2 && variable.type === 'query');
  return (
    <div style={{ background: theme.colors.background.canvas, width: WIDTH, padding: 8, boxSizing: 'border-box' }}>
      <div style={{ display: 'flex', gap: 24, alignItems: 'baseline', padding: '4px 8px 12px', color: theme.colors.text.primary }}>
        <span style={{ fontSize: 20 }}>{dashboard.title}</span>
        {shown.map((variable) => <span key={variable.name} style={{ color: theme.colors.text.secondary }}>{variable.label} <b>{(chosen[variable.name] ?? '.*') === '.*' ? 'All' : chosen[variable.name]}</b></span>)}
      </div>
      <div style={{ position: 'relative', height: bottom }}>
        {panels.map(({ panel, data, variables, y }, place) => {
          const { x, w, h } = panel.gridPos;
          const at = { position: 'absolute', left: x * COLUMN, top: y * CELL };
          const title = filled(panel.title, Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, value === '.*' ? 'All' : value])), 15);
          if (panel.type === 'row') return <div key={place} style={{ ...at, fontSize: 16, padding: 8, color: theme.colors.text.primary }}>{title}</div>;
          return (
            <div key={place} style={at}>
              <PanelChrome title={title} width={w * COLUMN - 16} height={h * CELL - 8}>
                {(width, height) => <Content {...{ panel, data, width, height }} />}
              </PanelChrome>
            </div>
          );
        })}
      </div>
    </div>
  );
}

const dashboard = await (await fetch('/dashboard.json')).json();
const chosen = { namespace: '.*', pod: '.*', agent: '.*', model: '.*', upstream: '.*', ...Object.fromEntries(asked.getAll('variable').map((pair) => pair.split('='))) };
const panels = await placed(dashboard, chosen);
createRoot(document.getElementById('root')).render(
  <ThemeContext.Provider value={theme}>
    <GlobalStyles />
    <Page {...{ dashboard, panels, chosen }} />
  </ThemeContext.Provider>,
);
