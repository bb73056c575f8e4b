import { useQuery } from '@tanstack/react-query';
import { versionQuery } from '../../api/queries.ts';
import { text } from '../../i18n/text.ts';
import { Facts } from '../../ui/facts.tsx';
import { Loaded } from '../../ui/loaded.tsx';

export function AboutTab() {
  const query = useQuery(versionQuery);
  return (
    <Loaded query={query} what={text.settings.about}>
      {({ version, features }) => (
        <div className="croft-stack">
          <Facts
            title={text.settings.about}
            facts={[
              [text.settings.version, version],
              [text.settings.features, features.join(', ')],
              [
                'API',
                <a key="api" href="/v1/openapi.json" target="_blank" rel="noreferrer">
                  {text.settings.apiDescription}
                </a>,
              ],
            ]}
          />
          <p className="croft-quiet">{text.settings.licence}</p>
        </div>
      )}
    </Loaded>
  );
}
