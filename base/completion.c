/* The bash completion script. All the knowledge (commands, options, choices, where a path is
 * expected) is written into the script, so that completing starts no process. */
#include <ctype.h>
#include <string.h>

#include "base/options.h"
#include "base/text.h"

typedef const struct ebb_command *const *command_table;

/* "BAG.yaml" -> yaml, "FILE", "OUT.svg" -> file, "[DIR]" -> dir, others -> NULL: by the
 * placeholder's name. */
static const char *path_kind(const char *placeholder)
{
    char word[64];
    size_t n = 0;
    if (placeholder == NULL)
        return NULL;
    for (const char *p = placeholder; *p != '\0' && n + 1 < sizeof(word); p++)
        if (*p != '[' && *p != ']')
            word[n++] = (char)tolower((unsigned char)*p);
    word[n] = '\0';
    if (strstr(word, ".yaml") != NULL)
        return "yaml";
    if (ebb_ends_with(word, "dir"))
        return "dir";
    if (ebb_ends_with(word, "file") || strstr(word, "file.") != NULL ||
        strstr(word, "file|") != NULL || ebb_ends_with(word, ".csv") || ebb_ends_with(word, ".svg"))
        return "file";
    return NULL;
}

/* The path kind of the arguments: the first placeholder that is a path. */
static const char *arguments_kind(const struct ebb_command *c)
{
    const char *kind = NULL;
    for (const char *p = c->arguments; kind == NULL && p != NULL && *p != '\0';) {
        p += strspn(p, " ");
        size_t len = strcspn(p, " ");
        EBB_AUTO_FREE char *word = ebb_strndup(p, len);
        kind = path_kind(word);
        p += len;
    }
    return kind;
}

/* Once each: the first words of the commands. */
static void write_first_words(command_table commands, struct ebb_buffer *out)
{
    for (command_table c = commands; *c != NULL; c++) {
        size_t len = strcspn((*c)->name, " ");
        bool seen = (*c)->hidden;
        for (command_table d = commands; !seen && d != c; d++)
            seen = !(*d)->hidden && strcspn((*d)->name, " ") == len &&
                   memcmp((*d)->name, (*c)->name, len) == 0;
        if (!seen)
            ebb_buffer_printf(out, "%.*s ", (int)len, (*c)->name);
    }
}

static bool is_command(command_table commands, const char *name, size_t len)
{
    for (command_table c = commands; *c != NULL; c++)
        if (!(*c)->hidden && strlen((*c)->name) == len && memcmp((*c)->name, name, len) == 0)
            return true;
    return false;
}

/* `alone`: the first word is a command by itself, too ("prices", "prices import"). */
static void write_second_words(command_table commands, struct ebb_buffer *out)
{
    for (command_table c = commands; *c != NULL; c++) {
        size_t len = strcspn((*c)->name, " ");
        bool seen = (*c)->hidden || (*c)->name[len] == '\0';
        for (command_table d = commands; !seen && d != c; d++)
            seen = !(*d)->hidden && strncmp((*d)->name, (*c)->name, len + 1) == 0;
        if (seen)
            continue;
        ebb_buffer_printf(out, "        %.*s) words='", (int)len, (*c)->name);
        for (command_table d = c; *d != NULL; d++)
            if (!(*d)->hidden && strncmp((*d)->name, (*c)->name, len + 1) == 0)
                ebb_buffer_printf(out, "%s ", (*d)->name + len + 1);
        ebb_buffer_printf(out, "'%s ;;\n", is_command(commands, (*c)->name, len) ? " alone=1" : "");
    }
}

static void write_option_names(const struct ebb_command *c, struct ebb_buffer *out)
{
    ebb_buffer_printf(out, "        '%s') options='", c->name);
    for (const struct ebb_option *o = c->options; o != NULL && o->name != NULL; o++)
        ebb_buffer_printf(out, "--%s ", o->name);
    const char *kind = arguments_kind(c);
    ebb_buffer_printf(out, "--help' paths='%s' ;;\n", kind != NULL ? kind : "");
}

/* What may follow an option that takes a value. */
static void write_option_values(const struct ebb_command *c, struct ebb_buffer *out)
{
    for (const struct ebb_option *o = c->options; o != NULL && o->name != NULL; o++) {
        if (o->kind == EBB_OPTION_FLAG)
            continue;
        ebb_buffer_printf(out, "        '%s --%s'", c->name, o->name);
        if (o->letter != 0)
            ebb_buffer_printf(out, "|'%s -%c'", c->name, o->letter);
        const char *kind = path_kind(o->value);
        ebb_buffer_printf(out, ") value=1 paths='%s' words='", kind != NULL ? kind : "");
        for (size_t i = 0; o->kind == EBB_OPTION_CHOICE && o->choices[i] != NULL; i++)
            ebb_buffer_printf(out, "%s ", o->choices[i]);
        ebb_buffer_append_text(out, "' ;;\n");
    }
}

static const char paths_function[] =
    "_ebb_paths() {\n"
    "    local path\n"
    "    compopt -o filenames 2>/dev/null\n"
    "    case $1 in\n"
    "        dir) mapfile -t COMPREPLY < <(compgen -d -- \"$2\") ;;\n"
    "        file) mapfile -t COMPREPLY < <(compgen -f -- \"$2\") ;;\n"
    "        yaml)\n"
    "            while IFS= read -r path; do\n"
    "                if [[ -d $path || $path == *.yaml || $path == *.yml ]]; then\n"
    "                    COMPREPLY+=(\"$path\")\n"
    "                fi\n"
    "            done < <(compgen -f -- \"$2\") ;;\n"
    "    esac\n"
    "}\n\n";

static const char finish[] =
    "    if [[ -n $paths && ( -n $value || $cur != -* ) ]]; then\n"
    "        _ebb_paths \"$paths\" \"$cur\"\n"
    "    elif [[ -n $value ]]; then\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
    "    else\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$cur\")\n"
    "    fi\n"
    "}\n"
    "complete -F _ebb ebb\n";

void ebb_commands_completion(const struct ebb_command *const *commands, struct ebb_buffer *out)
{
    ebb_buffer_append_text(out, "# bash completion for ebb: source <(ebb completion)\n");
    ebb_buffer_append_text(out, paths_function);
    ebb_buffer_append_text(
        out, "_ebb() {\n"
             "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
             "    local first=${COMP_WORDS[1]} second=${COMP_WORDS[2]}\n"
             "    local command=$first at=2 words= options= paths= value= alone=\n"
             "    COMPREPLY=()\n"
             "    if [[ $cur == = ]]; then cur=; fi\n"
             "    if [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
             "    if [[ $first == help && COMP_CWORD -gt 1 ]]; then\n"
             "        first=$second second=${COMP_WORDS[3]} at=3\n"
             "    fi\n"
             "    if (( COMP_CWORD == at - 1 )); then\n"
             "        mapfile -t COMPREPLY < <(compgen -W '");
    write_first_words(commands, out);
    ebb_buffer_append_text(out, "help completion --help --version' -- \"$cur\")\n"
                                "        return\n"
                                "    fi\n"
                                "    case $first in\n");
    write_second_words(commands, out);
    ebb_buffer_append_text(out, "    esac\n"
                                "    if [[ -n $words ]]; then\n"
                                "        if (( COMP_CWORD == at )); then\n"
                                "            mapfile -t COMPREPLY < <(compgen -W \"$words\" -- "
                                "\"$cur\")\n"
                                "            if [[ -z $alone || ${#COMPREPLY[@]} -gt 0 ]]; then\n"
                                "                return\n"
                                "            fi\n"
                                "        elif [[ -z $alone || \" $words\" == *\" $second \"* ]]; "
                                "then\n"
                                "            command=\"$first $second\"\n"
                                "        fi\n"
                                "    fi\n"
                                "    case $command in\n");
    for (command_table c = commands; *c != NULL; c++)
        if (!(*c)->hidden)
            write_option_names(*c, out);
    ebb_buffer_append_text(out, "    esac\n"
                                "    case \"$command $prev\" in\n");
    for (command_table c = commands; *c != NULL; c++)
        if (!(*c)->hidden)
            write_option_values(*c, out);
    ebb_buffer_append_text(out, "    esac\n");
    ebb_buffer_append_text(out, finish);
}
