/* Help of a command, for a terminal (80 columns) and as a page in Markdown, from its table. */
#include <string.h>

#include "base/options.h"

#define WIDTH       80
#define HELP_COLUMN 26

static void pad(struct ebb_buffer *out, size_t spaces)
{
    ebb_buffer_printf(out, "%*s", (int)spaces, "");
}

/* Words, filled to the width; each further line begins at column `indent`. */
static void wrap_paragraph(struct ebb_buffer *out, const char *text, size_t len, size_t indent)
{
    size_t column = indent;
    for (size_t i = 0; i < len;) {
        size_t word = 0;
        while (i + word < len && text[i + word] != ' ' && text[i + word] != '\n')
            word++;
        if (word > 0) {
            if (column > indent && column + 1 + word > WIDTH) {
                ebb_buffer_append_text(out, "\n");
                pad(out, indent);
                column = indent;
            } else if (column > indent) {
                ebb_buffer_append_text(out, " ");
                column++;
            }
            ebb_buffer_append(out, text + i, word);
            column += word;
        }
        i += word + 1;
    }
    ebb_buffer_append_text(out, "\n");
}

/* Where the paragraph, or the line of an example, that begins at `text` ends. */
static size_t block_length(const char *text)
{
    size_t len = strcspn(text, "\n");
    if (len == 0 || text[0] == ' ')
        return len;
    while (text[len] == '\n' && text[len + 1] != '\n' && text[len + 1] != ' ' &&
           text[len + 1] != '\0')
        len += 1 + strcspn(text + len + 1, "\n");
    return len;
}

/* Paragraphs are filled anew, wherever their lines were broken; lines that begin with a space are
 * examples and stay as they are. */
static void wrap_text(struct ebb_buffer *out, const char *text, size_t indent)
{
    while (*text != '\0') {
        size_t len = block_length(text);
        if (text[0] == ' ') {
            ebb_buffer_append(out, text, len);
            ebb_buffer_append_text(out, "\n");
        } else {
            wrap_paragraph(out, text, len, indent);
        }
        text += len;
        if (*text == '\n')
            text++;
        if (*text != '\0' && *text != '\n' && *text != ' ')
            pad(out, indent);
    }
}

static void usage_line(const struct ebb_command *c, struct ebb_buffer *out)
{
    ebb_buffer_printf(out, "ebb %s", c->name);
    if (c->options != NULL && c->options->name != NULL)
        ebb_buffer_append_text(out, " [OPTION...]");
    if (c->arguments != NULL && c->arguments[0] != '\0')
        ebb_buffer_printf(out, " %s", c->arguments);
    ebb_buffer_append_text(out, "\n");
}

static const char *placeholder(const struct ebb_option *o)
{
    if (o->value != NULL)
        return o->value;
    switch (o->kind) {
    case EBB_OPTION_INT:
        return "N";
    case EBB_OPTION_DURATION:
        return "DURATION";
    default:
        return "VALUE";
    }
}

/* "-f, --follow", "--store URL", "--cloud emulated|aws" */
static void option_form(const struct ebb_option *o, struct ebb_buffer *out)
{
    if (o->letter != 0)
        ebb_buffer_printf(out, "-%c, ", o->letter);
    ebb_buffer_printf(out, "--%s", o->name);
    if (o->kind == EBB_OPTION_FLAG)
        return;
    if (o->kind != EBB_OPTION_CHOICE || o->value != NULL) {
        ebb_buffer_printf(out, o->kind == EBB_OPTION_TEXTS ? " %s..." : " %s", placeholder(o));
        return;
    }
    for (size_t i = 0; o->choices[i] != NULL; i++)
        ebb_buffer_printf(out, "%s%s", i == 0 ? " " : "|", o->choices[i]);
}

static void option_help(const char *form, const char *help, struct ebb_buffer *out)
{
    size_t len = strlen(form);
    ebb_buffer_printf(out, "  %s", form);
    if (len + 4 > HELP_COLUMN) {
        ebb_buffer_append_text(out, "\n");
        pad(out, HELP_COLUMN);
    } else {
        pad(out, HELP_COLUMN - 2 - len);
    }
    wrap_text(out, help != NULL ? help : "", HELP_COLUMN);
}

void ebb_options_help(const struct ebb_command *command, struct ebb_buffer *out)
{
    ebb_buffer_append_text(out, "usage: ");
    usage_line(command, out);
    ebb_buffer_append_text(out, "\n");
    wrap_text(out, command->summary, 0);
    if (command->details != NULL) {
        ebb_buffer_append_text(out, "\n");
        wrap_text(out, command->details, 0);
    }
    ebb_buffer_append_text(out, "\noptions:\n");
    for (const struct ebb_option *o = command->options; o != NULL && o->name != NULL; o++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer form = {0};
        option_form(o, &form);
        option_help(ebb_buffer_text(&form), o->help, out);
    }
    option_help("-h, --help", "Show this help.", out);
}

/* A cell of a table: one line, with '|' escaped. */
static void markdown_cell(struct ebb_buffer *out, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '|')
            ebb_buffer_append_text(out, "\\|");
        else
            ebb_buffer_append(out, *p == '\n' ? " " : p, 1);
    }
}

static void markdown_option(const struct ebb_option *o, struct ebb_buffer *out)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer form = {0};
    option_form(o, &form);
    ebb_buffer_append_text(out, "| `");
    markdown_cell(out, ebb_buffer_text(&form));
    ebb_buffer_append_text(out, "` | ");
    markdown_cell(out, o->help != NULL ? o->help : "");
    ebb_buffer_append_text(out, " |\n");
}

/* Lines that begin with a space become a code block. */
static void markdown_details(const char *text, struct ebb_buffer *out)
{
    bool code = false;
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        if ((text[0] == ' ') != code) {
            code = !code;
            ebb_buffer_append_text(out, "```\n");
        }
        size_t skip = code ? strspn(text, " ") : 0;
        skip = skip > 2 ? 2 : skip;
        ebb_buffer_append(out, text + skip, len - skip);
        ebb_buffer_append_text(out, "\n");
        text += text[len] == '\n' ? len + 1 : len;
    }
    if (code)
        ebb_buffer_append_text(out, "```\n");
}

void ebb_options_markdown(const struct ebb_command *command, struct ebb_buffer *out)
{
    ebb_buffer_printf(out, "# ebb %s\n\n%s.\n\n```\n", command->name, command->summary);
    usage_line(command, out);
    ebb_buffer_append_text(out, "```\n\n");
    if (command->details != NULL) {
        markdown_details(command->details, out);
        ebb_buffer_append_text(out, "\n");
    }
    if (command->options != NULL && command->options->name != NULL) {
        ebb_buffer_append_text(out, "| Option | Meaning |\n|---|---|\n");
        for (const struct ebb_option *o = command->options; o->name != NULL; o++)
            markdown_option(o, out);
        ebb_buffer_append_text(out, "\n");
    }
    ebb_buffer_append_text(out, "Exit status: 0 done, 1 the job or bag failed, 2 bad input or use, "
                                "3 the cloud or store refused.\n");
}
