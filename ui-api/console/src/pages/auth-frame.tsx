import type { ReactNode } from 'react';
import { useTitle } from '../hooks/use-title.ts';
import { text } from '../i18n/text.ts';
import { Brand } from '../ui/brand.tsx';
import { ThemeMenu } from '../ui/theme-menu.tsx';

/** The frame of the pages before sign-in: one card, nothing that distracts. */
export function AuthFrame({ title, subtitle, children }: { title: string; subtitle: string; children: ReactNode }) {
  useTitle(title);
  return (
    <div className="croft-auth">
      <header className="croft-auth-head">
        <Brand />
        <ThemeMenu />
      </header>
      <main className="croft-auth-card">
        <h1>{title}</h1>
        <p className="croft-quiet">{subtitle}</p>
        {children}
      </main>
      <footer className="croft-auth-foot">{text.signIn.welcome}</footer>
    </div>
  );
}
