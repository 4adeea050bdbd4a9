// The page that draw.mjs opens: window.draw() puts a dashboard on it and says what did not work.
import { ThemeContext, createTheme, dateTimeFormat } from '@grafana/data';
import { initPluginTranslations } from '@grafana/i18n';
import { GlobalStyles, PanelChrome } from '@grafana/ui';
import { Component, type ReactNode } from 'react';
import { createRoot } from 'react-dom/client';
import { optionsOf } from './defaults';
import { applyFieldConfig, fieldConfigOf, transform } from './fields';
import { GAP, layout, place } from './layout';
import { NoData, PANELS, hasData } from './panels';
import { query } from './queries';
import type { Dashboard, Panel, PanelData, Report, Settings } from './types';
import { inText, interpolate, resolve, type Variables } from './variables';

async function draw(dashboard: Dashboard, settings: Settings): Promise<Report> {
  await initPluginTranslations('draw');
  // Charts measure their text when they are made, so the fonts have to be there.
  await Promise.all([400, 500].map((weight) => document.fonts.load(`${weight} 14px Inter`)));
  const report: Report = { panels: 0, errors: [], empty: [] };
  const variables = await resolve(dashboard.templating?.list ?? [], settings);
  const panels = layout(dashboard.panels ?? [], settings.skip);
  const data = await Promise.all(panels.map((panel) => load(panel, settings, variables, report)));
  report.panels = panels.filter(({ type }) => type !== 'row').length;

  const theme = createTheme({ colors: { mode: settings.theme } });
  document.body.style.background = theme.colors.background.canvas;
  const bottom = Math.max(0, ...panels.map((panel) => place(panel, settings.width)).map(({ top, height }) => top + height));
  createRoot(document.getElementById('root')!).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <div style={{ padding: GAP * 2, width: settings.width, color: theme.colors.text.primary }}>
        <Header {...{ dashboard, settings, variables, theme }} />
        <div style={{ position: 'relative', height: bottom }}>
          {panels.map((panel, i) => {
            const { left, top, width, height } = place(panel, settings.width);
            const onError = (error: Error) => report.errors.push({ panel: titleOf(panel, variables), error: error.message });
            return (
              <div key={i} style={{ position: 'absolute', left, top, width, height }}>
                <PanelFrame {...{ panel, data: data[i], width, height, theme, variables, onError }} />
              </div>
            );
          })}
        </div>
      </div>
    </ThemeContext.Provider>
  );
  await quiet();
  return report;
}

const titleOf = (panel: Panel, variables: Variables) => interpolate(panel.title || `(${panel.type} ${panel.id})`, variables, inText);

async function load(panel: Panel, settings: Settings, variables: Variables, report: Report): Promise<PanelData | undefined> {
  if (panel.type === 'row') return undefined;
  const nothing = { frames: [], exemplars: [] };
  if (settings.skip.includes(panel.type)) return { ...nothing, notice: `${panel.description} Only Grafana's server draws panels of type "${panel.type}".` };
  const title = titleOf(panel, variables);
  try {
    if (!PANELS[panel.type]) throw new Error(`panel type "${panel.type}" is not supported`);
    if (panel.repeat) throw new Error('repeated panels are not supported');
    const data = await query(panel, place(panel, settings.width).width, settings, variables);
    data.frames = await transform(panel, data.frames, (text) => interpolate(text, variables, inText));
    if (panel.type !== 'text' && !hasData(panel.type, data.frames)) report.empty.push(title);
    return data;
  } catch (error) {
    const message = (error as Error).message;
    report.errors.push({ panel: title, error: message });
    return { ...nothing, error: message };
  }
}

function Header({ dashboard, settings, variables, theme }: any) {
  const time = (at: number) => dateTimeFormat(at, { timeZone: 'utc' });
  const box = { border: `1px solid ${theme.colors.border.weak}`, borderRadius: 2, padding: '5px 8px' };
  return (
    <>
      <div style={{ display: 'flex', justifyContent: 'space-between', marginBottom: GAP * 1.5 }}>
        <h1 style={{ ...theme.typography.h3, margin: 0 }}>{dashboard.title}</h1>
        <div style={{ ...box, ...theme.typography.bodySmall }}>
          {time(settings.from)} to {time(settings.to)} UTC
        </div>
      </div>
      <div style={{ display: 'flex', flexWrap: 'wrap', gap: GAP, marginBottom: GAP * 1.5, ...theme.typography.bodySmall }}>
        {[...variables].filter(([, { model }]) => model && model.hide !== 2).map(([name, { model, text }]) => (
          <div key={name} style={{ display: 'flex' }}>
            {model.hide !== 1 && <div style={{ ...box, background: theme.colors.background.secondary, fontWeight: 500 }}>{model.label || name}</div>}
            <div style={{ ...box, background: theme.colors.background.primary, minWidth: 48 }}>{text || ' '}</div>
          </div>
        ))}
      </div>
    </>
  );
}

function PanelFrame({ panel, data, width, height, theme, variables, onError }: any) {
  const replaceVariables = (text: string) => interpolate(text, variables, inText);
  const title = replaceVariables(panel.title ?? '');
  if (panel.type === 'row') return <h2 style={{ ...theme.typography.h5, margin: 0, lineHeight: `${height}px` }}>⌄ {title}</h2>;
  const message = (text: string, color = theme.colors.error.text) => <div style={{ color, padding: GAP, overflowWrap: 'anywhere' }}>{text}</div>;
  const Drawing = PANELS[panel.type];
  return (
    <PanelChrome
      {...{ title, width, height }}
      description={panel.description && replaceVariables(panel.description)}
      displayMode={panel.transparent ? 'transparent' : 'default'}
      padding={panel.type === 'table' ? 'none' : 'md'}
      statusMessage={data.error}
    >
      {(innerWidth: number, innerHeight: number) => {
        if (data.error) return message(data.error);
        if (data.notice) return message(data.notice, theme.colors.text.secondary);
        const fieldConfig = fieldConfigOf(panel);
        const frames = applyFieldConfig(panel.type, fieldConfig, data.frames, theme, replaceVariables);
        const options = optionsOf(panel.type, panel.options);
        const isNeeding = !['text', 'stat', 'bargauge'].includes(panel.type);
        if (isNeeding && !hasData(panel.type, frames)) return <NoData fieldConfig={fieldConfig} />;
        return (
          <Guard onError={onError} fallback={message}>
            <Drawing {...{ ...data, frames, fieldConfig, options, theme, replaceVariables }} width={innerWidth} height={innerHeight} />
          </Guard>
        );
      }}
    </PanelChrome>
  );
}

/** Keeps the rest of the board when one panel fails. */
class Guard extends Component<{ onError: (error: Error) => void; fallback: (text: string) => ReactNode; children: ReactNode }> {
  state: { error?: Error } = {};
  static getDerivedStateFromError(error: Error) {
    return { error };
  }
  componentDidCatch(error: Error) {
    this.props.onError(error);
  }
  render() {
    return this.state.error ? this.props.fallback(this.state.error.message) : this.props.children;
  }
}

/** Panels measure themselves and draw again: wait until nothing has changed for a while. */
function quiet(milliseconds = 400): Promise<void> {
  return new Promise((done) => {
    let timer = setTimeout(finish, milliseconds);
    const observer = new MutationObserver(() => {
      clearTimeout(timer);
      timer = setTimeout(finish, milliseconds);
    });
    observer.observe(document.body, { subtree: true, childList: true, attributes: true });
    function finish() {
      observer.disconnect();
      done();
    }
  });
}

(window as any).draw = draw;
