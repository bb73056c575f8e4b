import type { ApiEvent } from '../../../client/types.ts';
import { text } from '../i18n/text.ts';
import { Age } from './age.tsx';

/** What happened, newest first, as sentences. */
export function EventList({ events, withName = false }: { events: readonly ApiEvent[]; withName?: boolean }) {
  if (events.length === 0) return <p className="croft-quiet">{text.overview.noEvents}</p>;
  return (
    <ol className="croft-events">
      {events.map((event) => (
        <li key={event.seq} className={event.type === 'Warning' ? 'croft-event-warning' : ''}>
          <span>
            {withName && <strong>{event.about.name} </strong>}
            {event.message}
          </span>
          <span className="croft-quiet croft-small">
            <Age time={event.at} />
          </span>
        </li>
      ))}
    </ol>
  );
}
